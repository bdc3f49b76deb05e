/* What is known of a code object before it runs: after which instructions a check is due. */
#ifndef STOPWHEN_CODEINFO_H
#define STOPWHEN_CODEINFO_H

#include "state.h"

/* Why a check is due before an instruction, and what an instruction can do. Same values in mechanisms/opcodes.py. */
#define EFFECT_CALL 1    /* C code that it runs can change foreign objects */
#define EFFECT_STORE 2   /* stores to an attribute or a namespace */
#define EFFECT_LOCAL 4   /* stores to a local */
#define EFFECT_DIRECT 8  /* is itself a store, to an item, an attribute or a name, not a call that may store */
#define EFFECT_JUMPS 16  /* may end by a jump to its argument's target */
#define EFFECT_BREAKS 32 /* the next instruction need not be the one behind it */
#define EFFECT_SETS 64   /* EFFECT_CALL for the operators by which only sets and dicts change themselves */
#define EFFECT_CACHE 128 /* not an instruction but a cache of the one before, whose effects it repeats */
#define EFFECT_HOOKS 256 /* may run a C function that somebody has put in the way of it (hooks.c) */
#define EFFECT_ENTERS 512 /* enters a `with` block, or loads one of the two functions that this takes */
#define EFFECT_MAKES 1024 /* leaves on the stack what may be a C function bound to some object */
#define EFFECT_SHUFFLES 2048 /* only moves what is on the stack */
#define EFFECT_INPLACE 4096 /* of the operators with `=`: the store that belongs to it comes right behind */
#define EFFECT_PYTHON 8192 /* a Python function that it calls begins at once: no C code runs before */
#define EFFECT_MISSING 16384 /* reads an item, which a defaultdict may add then */
#define EFFECT_SHARED                                                                                                  \
    32768 /* stores to a variable that functions share; in `due` also of the instruction itself (shared.c) */
/* In `due` only, where EFFECT_DIRECT, EFFECT_JUMPS and EFFECT_BREAKS have no meaning (codeinfo.c, loops.c): */
#define DUE_SWITCH 8       /* another thread may have run just before: due where there are several */
#define DUE_LOOP_STARTS 16 /* a `for` loop takes its iterator here */
#define DUE_LOOP_TURNS 32  /* the check is due for the loop's iterator alone */
#define DUE_OPERANDS 128 /* the instruction itself has an effect: what it takes matters to large contents (large.c) */
#define DUE_RESULT 512 /* what an instruction has put on the stack may be a C function bound to the data (hooks.c) */

/* After which a check is always due, and those after which it is where hooks are about as well. */
#define EFFECT_PLAIN (EFFECT_CALL | EFFECT_STORE | EFFECT_LOCAL | EFFECT_SETS | EFFECT_MISSING)
#define EFFECT_ANY (EFFECT_PLAIN | EFFECT_HOOKS | EFFECT_SHARED)

/* Kinds of jumps; the same values in mechanisms/opcodes.py. */
#define JUMP_AHEAD 1 /* may jump forward by its argument */
#define JUMP_AWAY 2 /* the next instruction does not run after it */
#define JUMP_GENERATOR 4 /* makes a generator, which the next instruction finds on the stack */
#define JUMP_BACK 8 /* jumps backward by its argument, and may let another thread run */

/* How the argument of an instruction tells which locals it stores to; the same values in mechanisms/opcodes.py. */
#define LOCAL_STORE 1      /* it is an index */
#define LOCAL_STORE_HIGH 2 /* its bits from the fourth on are */
#define LOCAL_STORE_BOTH 3 /* so are the four below */

/* What the name of a function tells; the same values in mechanisms/opcodes.py. */
#define NAMES_MUTATOR 1 /* changes data, as `append` does, or makes such a function */
#define NAMES_MAKER 2   /* makes a function that is bound to data */
#define NAMES_PLAIN 4   /* is builtin, and neither */
#define NAMES_STARTER 8 /* starts a thread */
#define NAMES_FILLER 16 /* changes memory, as `readinto` does, while other threads run */
#define NAMES_SLOW 32 /* changes data bit by bit, as `extend` does, and other threads may run amid */
#define NAMES_HARMLESS 64 /* waits or reads, and leaves all data as it is */

#define NO_NAME 255 /* in the table of name shifts: the argument is no index of co_names */

#define STACK_UNKNOWN (-1)

typedef struct CodeSites CodeSites;

struct CodeInfo {
    Py_ssize_t length; /* In code units of two bytes. */
    unsigned short *effect; /* Of the instruction that starts at a unit. */
    unsigned short *due; /* Effects of the instructions that can have run just before a unit. */
    int *culprit; /* Unit of that instruction; -1 where `due` is 0. */
    int *other; /* Unit of another that can have run just before, by a jump, and has EFFECT_HOOKS; -1 for none. */
    unsigned char *names; /* NAMES_... of the function whose name the instruction loads. */
    unsigned char *merged; /* The check after this unit's instruction is that of earlier ones on its line as well. */
    unsigned char *grain; /* tracing.c: how fine the events of the line that starts at a unit must be; 0: not known. */
    int grain_interest; /* tracing.c: for which effects of interest, and of sites, `grain` holds. */
    int grain_era;
    int *loop; /* loops.c */
    int *depth; /* depths.c: of the stack before a unit; STACK_UNKNOWN where nothing tells. */
    int *depth_after; /* depths.c: of the stack after the unit's instruction, where it does not jump. */
    int starts_threads; /* Some instruction has NAMES_STARTER. */
    int stores_shared; /* Some instruction has EFFECT_SHARED. */
    int stores_items; /* Some instruction stores or deletes an item. */
    int is_restless; /* containers/item_stores.c: it needs events for these. */
    int is_ours; /* Code of stopwhen itself, where nothing is looked at. */
    int loop_era; /* loops.c: `state->era` for which `loop` holds. */
    int *line; /* Of a unit; -1 for none. */
    Py_ssize_t unlined; /* tracing.c: the first unit without a line that stores something; -1 for none. */
    PyCodeObject *code; /* Borrowed: the code owns its information. */
    int *stored; /* Of an instruction: LOCAL_STORE..., 0 for none, and its argument from bit 2 on. */
    Py_ssize_t local_checks; /* Armed checks on frames of this code. */
    Py_ssize_t calls; /* Functions with this code whose calls are noted. */
    long events; /* instrument.c: local events of our tool that are on. */
    int unsure; /* instrument.c: not even turning the events off has worked, so that some may be on all the same. */
    int awaited; /* instrument.c: a one-shot stop waits for a frame of this code. */
    CodeInfo *next; /* instrument.c: list of those with events on. */
    CodeInfo *previous;
    CodeInfo *next_known; /* List of all. */
    CodeInfo *previous_known;
    CodeSites *sites; /* sites.c; NULL until an access is armed. */
    Py_ssize_t local_accesses; /* Armed accesses to locals of frames of this code. */
};

/* True when the instruction at `unit` stores or deletes an item. */
static inline int
code_stores_item(const CodeInfo *info, Py_ssize_t unit)
{
    return (info->effect[unit] & (EFFECT_CALL | EFFECT_DIRECT)) == (EFFECT_CALL | EFFECT_DIRECT);
}

CodeInfo *code_info_not_recent(CoreState *state, PyCodeObject *code);

static inline size_t
recent_place(const PyCodeObject *code)
{
    return ((size_t)code >> 5 ^ (size_t)code >> 13) % RECENT_CODES;
}

/* Return the information on `code`, made on first use and owned by it; NULL with an exception set. */
static inline CodeInfo *
code_info(CoreState *state, PyCodeObject *code)
{
    size_t place = recent_place(code);
    return state->recent[place].code == code ? state->recent[place].info : code_info_not_recent(state, code);
}

void code_info_free(void *info);

/* Return what `name` tells of a function called so: NAMES_... Leaves no exception. */
int code_what_names(const CoreState *state, PyObject *name);

/* callees.c: true when the call at `unit`, of `count` arguments, may leave a C function bound to some object. */
int makers_may_make_function(const CoreState *state, const CodeInfo *info, const unsigned char *bytes, Py_ssize_t unit,
                             int count);

/* depths.c: fill `info->depth` and `info->depth_after`. */
void depths_find(CoreState *state, CodeInfo *info, PyCodeObject *code, const unsigned char *bytes);
int depths_operands(const CodeInfo *info, Py_ssize_t unit, int *first, int *end);

/* loops.c: note where loops start and turn; -1 with an exception set. */
int loops_find(CoreState *state, CodeInfo *info, const unsigned char *bytes);

/* loops.c: what of `due` is due at a unit where a loop starts or turns, in the running frame. */
int loops_due(CoreState *state, CodeInfo *info, int unit, int due);

/* True when the instruction at `unit` stores to, or deletes, the fast local `index`. */
int code_stores_local(const CodeInfo *info, Py_ssize_t unit, Py_ssize_t index);

/* Return the unit of the first such instruction from `unit` on, on the same line; -1 for none. */
Py_ssize_t code_local_store_on_line(const CodeInfo *info, Py_ssize_t unit, Py_ssize_t index);

/* True when checks on locals are due in this code. */
static inline int
code_has_locals(const CodeInfo *info)
{
    return info->local_checks > 0 || info->calls > 0;
}

/* True when the line of `unit` names a function of which its name tells `what`: one of NAMES_... */
int code_line_names(const CodeInfo *info, Py_ssize_t unit, int what);

#endif
