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
/* In `due` only, where EFFECT_DIRECT, EFFECT_JUMPS and EFFECT_BREAKS have no meaning (codeinfo.c, loops.c): */
#define DUE_SWITCH 8       /* another thread may have run just before: due where there are several */
#define DUE_LOOP_STARTS 16 /* a `for` loop takes its iterator here */
#define DUE_LOOP_TURNS 32  /* the check is due for the loop's iterator alone */
#define DUE_OPERANDS 128 /* the instruction itself has an effect: what it takes matters to large contents (large.c) */

#define EFFECT_ANY (EFFECT_CALL | EFFECT_STORE | EFFECT_LOCAL | EFFECT_SETS)

/* Kinds of jumps; the same values in mechanisms/opcodes.py. */
#define JUMP_AHEAD 1 /* may jump forward by its argument */
#define JUMP_AWAY 2 /* the next instruction does not run after it */
#define JUMP_GENERATOR 4 /* makes a generator; the next instruction runs on a stack of one */
#define JUMP_BACK 8 /* jumps backward by its argument, and may let another thread run */

/* How the argument of an instruction tells which locals it stores to; the same values in mechanisms/opcodes.py. */
#define LOCAL_STORE 1      /* it is an index */
#define LOCAL_STORE_HIGH 2 /* its bits from the fourth on are */
#define LOCAL_STORE_BOTH 3 /* so are the four below */

#define NO_NAME 255 /* in the table of name shifts: the argument is no index of co_names */

struct CodeInfo {
    Py_ssize_t length; /* In code units of two bytes. */
    unsigned char *effect; /* Of the instruction that starts at a unit. */
    unsigned char *due; /* Effects of the instructions that can have run just before a unit. */
    int *culprit; /* Unit of that instruction; -1 where `due` is 0. */
    unsigned char *mutates; /* The instruction loads the name of a function that changes data, such as `append`. */
    unsigned char *merged; /* The check after this unit's instruction is that of earlier ones on its line as well. */
    unsigned char *grain; /* tracing.c: how fine the events of the line that starts at a unit must be; 0: not known. */
    int grain_interest; /* tracing.c: for which effects of interest `grain` holds. */
    int *loop; /* loops.c */
    int *depth; /* depths.c: of the stack before a unit; NULL as long as nobody needs it. */
    int *depth_after; /* depths.c: of the stack after the unit's instruction, where it does not jump. */
    int is_ours; /* Code of stopwhen itself, where nothing is looked at. */
    int loop_era; /* loops.c: `state->era` for which `loop` holds. */
    int *line; /* Of a unit; -1 for none. */
    PyCodeObject *code; /* Borrowed: the code owns its information. */
    int *stored; /* Of an instruction: LOCAL_STORE..., 0 for none, and its argument from bit 2 on. */
    Py_ssize_t local_checks; /* Armed checks on frames of this code. */
    Py_ssize_t calls; /* Functions with this code whose calls are noted. */
    long events; /* instrument.c: local events of our tool that are on. */
    int unsure; /* instrument.c: not even turning the events off has worked, so that some may be on all the same. */
    int awaited; /* instrument.c: a one-shot stop waits for a frame of this code. */
    CodeInfo *next; /* instrument.c: list of those with events on. */
    CodeInfo *previous;
};

/* Return the information on `code`, made on first use and owned by it; NULL with an exception set. */
CodeInfo *code_info(CoreState *state, PyCodeObject *code);

void code_info_free(void *info);

/* depths.c */
int depths_find(CoreState *state, CodeInfo *info, PyCodeObject *code, const unsigned char *bytes);
int depths_operands(CoreState *state, CodeInfo *info, Py_ssize_t unit, int *first, int *end);

/* loops.c: note where loops start and turn; -1 with an exception set. */
int loops_find(CoreState *state, CodeInfo *info, PyCodeObject *code, const unsigned char *bytes);

/* loops.c: what of `due` is due at a unit where a loop starts or turns, in the running frame. */
int loops_due(CoreState *state, CodeInfo *info, int unit, int due);

/* True when the instruction at `offset` (bytes, of it or of one of its caches) can have an effect of `effects`. */
int code_may(CoreState *state, PyCodeObject *code, int offset, int effects);

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

/* True when the line of `unit` names a function that changes data. */
int code_line_names_mutator(const CodeInfo *info, Py_ssize_t unit);

#endif
