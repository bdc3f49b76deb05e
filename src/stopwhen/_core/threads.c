/* Has a new thread traced before it runs any Python code, on 3.11.
 *
 * A trace function is given to a thread by another one, at an event of that (tracing.c, I3), and the new thread may have
 * run by then. So from the start of a line that names `start_new_thread` until the new thread is traced, the interpreter
 * calls us for each frame that it is to run (PEP 523): also for the first one of that thread. It is not called at other
 * times, since the interpreter then needs its own stack for each call of a Python function.
 *
 * I1. The ids of threads grow: once one is traced whose id is `awaited_thread` or more, no start is pending.
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

/* The running thread is about to start another one, or seems to be. */
void
threads_expect(CoreState *state)
{
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    state->awaited_thread = PyInterpreterState_ThreadHead(interpreter)->id + 1;
    if (state->run_frame == NULL) {
        state->run_frame = _PyInterpreterState_GetEvalFrameFunc(interpreter);
        _PyInterpreterState_SetEvalFrameFunc(interpreter, run_frame);
    }
}

/* All threads that there are have the trace function: let the interpreter run frames as before, unless one is yet to come. */
void
threads_see_all(CoreState *state)
{
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    if (state->run_frame != NULL && PyInterpreterState_ThreadHead(interpreter)->id >= state->awaited_thread) { /* I1 */
        threads_clear(state);
    }
}

/* Let the interpreter run frames as before. If somebody else has it call him since, who goes on to call us, so it stays. */
void
threads_clear(CoreState *state)
{
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    if (state->run_frame != NULL && _PyInterpreterState_GetEvalFrameFunc(interpreter) == run_frame) {
        _PyInterpreterState_SetEvalFrameFunc(interpreter, state->run_frame);
        state->run_frame = NULL;
    }
}

#endif
