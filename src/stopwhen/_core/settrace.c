/* The program sets a trace function of its own, on 3.11: ours goes before it again as soon as that is done.
 *
 * An audit event tells of it, too, but before it is done, and after it nobody calls us until the next frame begins
 * (threads.c). So while we trace, the function object `sys.settrace` runs our function in C instead of the interpreter's,
 * which it calls. All that can be seen of the object is as before.
 *
 * I1. `state->settrace` is NULL, or the object whose `m_ml` is `replaced`, and `state->settrace_def` what that was.
 */
#include "state.h"

#if !HAS_MONITORING

static PyMethodDef replaced;

static PyObject *
settrace(PyObject *module, PyObject *function)
{
    CoreState *state = state_for_callback();
    assert(state != NULL && state->settrace_def != NULL);
    PyObject *result = state->settrace_def->ml_meth(module, function);
    if (result != NULL && state->tracing && tracing_see_thread(state, PyThreadState_Get()) < 0) {
        PyErr_Clear(); /* As at any event: tried again at the next. */
    }
    return result;
}

/* Be called for `sys.settrace`, unless the program has put something else there. */
void
settrace_begin(CoreState *state)
{
    PyObject *object = PySys_GetObject("settrace"); /* Borrowed. */
    if (state->settrace != NULL || object == NULL || !PyCFunction_CheckExact(object) ||
        PyCFunction_GET_FLAGS(object) != METH_O) {
        return;
    }
    PyCFunctionObject *builtin = (PyCFunctionObject *)object;
    replaced = *builtin->m_ml;
    replaced.ml_meth = settrace;
    state->settrace_def = builtin->m_ml;
    state->settrace = Py_NewRef(object);
    builtin->m_ml = &replaced; /* I1 */
}

/* Let it be as before. `settrace_def` stays, for a thread that runs our function just now. */
void
settrace_end(CoreState *state)
{
    if (state->settrace != NULL) {
        ((PyCFunctionObject *)state->settrace)->m_ml = state->settrace_def;
        Py_CLEAR(state->settrace);
    }
}

#endif
