/* Sees threads that begin, and other frames that C code begins, before they run: while that is needed, the interpreter
 * calls us for each frame that it is to run (PEP 523). It is not called at other times, since the interpreter then needs its
 * own stack for each call of a Python function.
 *
 * While one thread brings up to date what is watched, no other is to run (arming.c): such frames would have no event.
 *
 * On 3.11 a thread is also to be traced before it runs any Python code. A trace function is given to a thread by another
 * one, at an event of that (tracing.c, I3), and a new thread may have run by then. So we are called from the start of a line
 * that names `start_new_thread` until the new thread is traced; from the time when a thread begins to set a trace function
 * of its own until it has; and while somebody else traces some thread: a debugger may take ours off and never tell.
 *
 * I1. The ids of threads grow: once one is traced whose id is `awaited_thread` or more, no start is pending.
 * I2. `run_frame` of the state is NULL exactly while we are not called, or somebody else has it call him since, who goes
 *     on to call us.
 */
#define Py_BUILD_CORE 1
#include "state.h"

#include <internal/pycore_ceval.h>

static PyObject *
run_frame(PyThreadState *me, struct _PyInterpreterFrame *frame, int throws)
{
    CoreState *state = state_for_callback();
#if !HAS_MONITORING
    if (state != NULL && state->tracing) {
        PendingError error = take_pending_error();
        if (tracing_see_thread(state, me) < 0) {
            PyErr_Clear(); /* As at any event: tried again at the next. */
        }
        put_back_pending_error(error);
    }
#endif
    if (state != NULL) {
        arming_wait_to_begin(state, me, compat_code_of(frame));
    }
    _PyFrameEvalFunction run = state == NULL || state->run_frame == NULL ? _PyEval_EvalFrameDefault : state->run_frame;
    return run(me, frame, throws);
}

static int
are_needed(const CoreState *state)
{
#if !HAS_MONITORING
    if (state->tracing &&
        (PyInterpreterState_ThreadHead(PyInterpreterState_Get())->id < state->awaited_thread || /* I1 */
         state->setting_thread != NULL || tracing_is_shared(state))) {
        return 1;
    }
#endif
    return state->handler != NULL && arming_keeps_waiting();
}

/* Be called for each frame exactly while that is needed. */
void
threads_update(CoreState *state)
{
    int needed = are_needed(state);
    if (needed && state->run_frame == NULL) {
        state->run_frame = compat_run_frames_by(run_frame);
    }
    else if (!needed && state->run_frame != NULL && compat_frames_are_run_by(run_frame)) {
        (void)compat_run_frames_by(state->run_frame);
        state->run_frame = NULL; /* I2 */
    }
}

#if !HAS_MONITORING
/* The running thread is about to start another one, or seems to be; or is not, after all. */
void
threads_expect(CoreState *state, int starts)
{
    state->awaited_thread = starts ? PyInterpreterState_ThreadHead(PyInterpreterState_Get())->id + 1 : 0;
    threads_update(state);
}

#endif
