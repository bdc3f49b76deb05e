/* Sites: the instructions of a code object that store, read or call, and which of them matter to armed accesses. */
#ifndef STOPWHEN_SITES_H
#define STOPWHEN_SITES_H

#include "codeinfo.h"

/* The same values in mechanisms/sites.py. */
typedef enum {
    SITE_NONE = 0,
    SITE_STORE_NAME = 1,
    SITE_STORE_GLOBAL,
    SITE_STORE_ATTRIBUTE,
    SITE_STORE_ITEM,
    SITE_STORE_SLICE,
    SITE_STORE_FAST,
    SITE_STORE_FAST_TWICE,
    SITE_STORE_FAST_LOAD_FAST,
    SITE_STORE_DEREF,
    SITE_IN_PLACE,
    SITE_IMPORT_STAR,
    SITE_CALL,
    SITE_CALL_KEYWORDS,
    SITE_CALL_UNPACKED,
    SITE_LOAD_NAME,
    SITE_LOAD_GLOBAL,
    SITE_LOAD_ATTRIBUTE,
    SITE_LOAD_SUPER,
    SITE_LOAD_ITEM,
    SITE_LOAD_SLICE,
    SITE_LOAD_FAST,
    SITE_LOAD_FAST_TWICE,
    SITE_LOAD_DEREF,
    SITE_LOAD_FROM_DICT_OR_DEREF,
    SITE_LOAD_FROM_DICT_OR_GLOBAL,
    SITE_IMPORT_FROM,
    SITE_PREFIX = 255, /* An EXTENDED_ARG of the instruction behind it. */
} SiteKind;

/* What armed accesses are there, beside those of names: same values in mechanisms/instructions.py. */
#define INTEREST_ITEMS_STORED 1 /* items of containers, or their content */
#define INTEREST_ITEMS_READ 2
#define INTEREST_ANY_NAME 4     /* stores to any name of some namespace or object */
#define INTEREST_ANY_ITEM 8     /* stores to any item of some container */
#define INTEREST_STAR 16        /* names of a namespace */
#define INTEREST_NUMBERS_STORED 32 /* items whose keys are no str */
#define INTEREST_NUMBERS_READ 64

struct CodeSites {
    unsigned char *opcode; /* Of the instruction that starts at a unit. */
    unsigned char *kind;   /* SiteKind of the instruction that starts at a unit. */
    int *argument;         /* Of that instruction. */
    int *
        loader; /* Unit that loads what a call calls, by a name, or the constant key of an item; -1: not so, or not known. */
    int *behind; /* Of a site: the unit of the next instruction. */
    unsigned char *learned; /* Of a call: what was called there by a name that tells nothing was of no interest. */
    unsigned char *matters; /* The instruction may touch what is armed, as of `era`. */
    int era; /* `state->access_era` for which `matters` holds; 0 for none. */
    int any_matters; /* Some unit matters. */
};

/* Bring up to date which sites of a code matter, and return whether any does; -1 with an exception set. */
int sites_matter(CoreState *state, CodeInfo *info);

/* True when the site at `unit` matters. `sites_matter` has been asked first. */
static inline int
site_matters(const CodeInfo *info, int unit)
{
    return info->sites->any_matters && info->sites->matters[unit];
}

/* What was called at `unit` is of no interest: if its name cannot mean anything else there, look no more. */
void sites_learn(CoreState *state, CodeInfo *info, int unit);

/* The name in the argument of the instruction at `unit`, borrowed; NULL when it has none. */
PyObject *site_name(CoreState *state, CodeInfo *info, int unit);

/* The names of the keyword arguments of the call at `unit`, until 3.12; borrowed, NULL for none. */
PyObject *site_keywords(CoreState *state, CodeInfo *info, int unit);

void sites_free(CodeInfo *info);

#endif
