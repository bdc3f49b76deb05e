/* What tells that an instruction has changed data. */
#ifndef STOPWHEN_EVIDENCE_H
#define STOPWHEN_EVIDENCE_H

#include "codeinfo.h"

typedef enum { NOTHING_TELLS, A_CALL_TELLS, A_STORE_TELLS } Evidence;

/* How much tells that the instruction of `frame`, which may be NULL, at `offset` has changed data; the current one for -1. */
Evidence evidence(CoreState *state, PyFrameObject *frame, int offset);

/* As `evidence`, of an instruction that the suspended `thread` has begun since its latest event: set `offset` to where that
 * tells most, to -1 for the current one. `is_known` is cleared where no event of the frame has told where it stood. */
Evidence evidence_of_thread(CoreState *state, PyThreadState *thread, PyFrameObject *frame, int *offset, int *is_known);

/* As that, of the instruction that is blamed; set its offset, where only the line was known. */
Evidence evidence_of_blamed(CoreState *state, Blame *blame);

/* What stands where the function stood that the suspended `thread` calls by the instruction it has begun: the function
 * itself, while it runs, or its result. Set `is_amid`, as far as that can be told: by rule threads lose the lock where
 * functions and loops begin, and after calls. Borrowed; NULL where there is no such call. */
PyObject *evidence_called(CoreState *state, PyThreadState *thread, int *is_amid);

/* True when the instruction may have let other threads run before its change, or amid that: a call that is not quick. */
int evidence_is_slow(CoreState *state, PyFrameObject *frame, int offset);

/* True when a thread that is suspended at the instruction may go on with it. By rule threads lose the lock after a call, where
 * one that is quick is done, but only amid a store. */
int evidence_may_go_on(CoreState *state, PyFrameObject *frame, int offset);

/* True when the instruction is a call that changes memory while other threads run, by the names on its line. */
int evidence_fills_memory(CoreState *state, PyFrameObject *frame, int offset);

#endif
