/* Has a thread traced before it runs any Python code, where no event of ours would come to see to that, on 3.11.
 *
 * A trace function is given to a thread by another one, at an event of that (tracing.c, I3), and a new thread may have
 * run by then. So from the start of a line that names `start_new_thread` until the new thread is traced, the interpreter
 * calls us for each frame that it is to run (PEP 523): also for the first one of that thread. So it does from the time
 * when a thread begins to set a trace function of its own until it has, and while somebody else traces some thread: a
 * debugger may take ours off and never tell. It is not called at other times, since the interpreter then needs its own
 * stack for each call of a Python function.
 *
 * I1. The ids of threads grow: once one is traced whose id is `awaited_thread` or more, no start is pending.
 * I2. `run_frame` of the state is NULL exactly while we are not called, or somebody else has it call him since, who goes
 *     on to call us.
 */
#define Py_BUILD_CORE 1
#include "state.h"

#if !HAS_MONITORING

#include <internal/pycore_ceval.h>

static PyObject *
run_frame(PyThreadState *me, struct _PyInterpreterFrame *frame, int throws)
{
    CoreState *state = state_for_callback();
    if (state != NULL && state->tracing) {
        PendingError error = take_pending_error();
        if (tracing_see_thread(state, me) < 0) {
            PyErr_Clear(); /* As at any event: tried again at the next. */
        }
        put_back_pending_error(error);
    }
    _PyFrameEvalFunction run = state == NULL || state->run_frame == NULL ? _PyEval_EvalFrameDefault : state->run_frame;
    return run(me, frame, throws);
}

/* Be called for each frame exactly while that is needed. */
void
threads_update(CoreState *state)
{
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    int needed = state->tracing && (PyInterpreterState_ThreadHead(interpreter)->id < state->awaited_thread || /* I1 */
                                    state->setting_thread != NULL || tracing_is_shared(state));
    if (needed && state->run_frame == NULL) {
        state->run_frame = _PyInterpreterState_GetEvalFrameFunc(interpreter);
        _PyInterpreterState_SetEvalFrameFunc(interpreter, run_frame);
    }
    else if (!needed && state->run_frame != NULL && _PyInterpreterState_GetEvalFrameFunc(interpreter) == run_frame) {
        _PyInterpreterState_SetEvalFrameFunc(interpreter, state->run_frame);
        state->run_frame = NULL; /* I2 */
    }
}

/* The running thread is about to start another one, or seems to be; or is not, after all. */
void
threads_expect(CoreState *state, int starts)
{
    state->awaited_thread = starts ? PyInterpreterState_ThreadHead(PyInterpreterState_Get())->id + 1 : 0;
    threads_update(state);
}

#endif
