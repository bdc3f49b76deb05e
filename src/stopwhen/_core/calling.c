/* Calls what an action asks for straight from an event, so that the frame which the callee finds as its caller's is the
 * program's own: a debugger is opened as if the program had called it between two instructions.
 *
 * I1. While a call is made this thread gets no events of any tool or trace function, as in the event itself.
 * I2. While a call is made `what_event` says that there is no event: a debugger that sets `f_lineno` would move the
 *     frame on, and the interpreter heeds that after LINE events only.
 */
#include "state.h"

#if !HAS_MONITORING
/* The frame that has been told last, by a `line` event of ours, where it stands; never followed. */
static _Thread_local PyFrameObject *told;

PyFrameObject *
calling_take_told(void)
{
    PyFrameObject *frame = told;
    told = NULL;
    return frame;
}
#endif

/* Call `function`, and return what it raised as a new reference; NULL for nothing. */
static PyObject *
call_and_catch(PyObject *function)
{
    PyObject *value = PyObject_CallNoArgs(function);
    if (value != NULL) {
        Py_DECREF(value);
        return NULL;
    }
    return compat_take_exception();
}

/* Take `step`, a tuple (function, then): call the function, give what it raised to `then`, and return what that
 * returns; NULL with an exception set. */
static PyObject *
take_step(PyObject *step)
{
    PyObject *function, *then; /* Borrowed from step. */
    if (!PyArg_ParseTuple(step, "OO", &function, &then)) {
        return NULL;
    }
    PyThreadState *me = PyThreadState_Get();
    PyThreadState_EnterTracing(me); /* I1 */
#if HAS_MONITORING
    int what_event = me->what_event;
    me->what_event = -1; /* I2 */
#endif
    PyObject *error = call_and_catch(function);
    PyObject *next = PyObject_CallOneArg(then, error == NULL ? Py_None : error);
#if HAS_MONITORING
    me->what_event = what_event;
#endif
    PyThreadState_LeaveTracing(me);
    Py_XDECREF(error);
    return next;
}

/* Take steps, beginning with `result`, until something else than a step is returned. Steals `result`, which may be NULL
 * with an exception set; so may what is returned. */
PyObject *
calling_take_steps(PyObject *result)
{
    while (result != NULL && PyTuple_Check(result) && PyTuple_GET_SIZE(result) == 2) {
        Py_SETREF(result, take_step(result));
    }
    return result;
}

/* take_steps(result): the same for who is not called by an event; the callees find that frame as their caller's. */
PyObject *
calling_take_steps_here(PyObject *Py_UNUSED(module), PyObject *result)
{
    return calling_take_steps(Py_NewRef(result));
}

/* deliver_line(frame): give the trace function of `frame` a `line` event for where it stands, as the interpreter does.
 * What it raises is for the caller to handle. */
PyObject *
calling_deliver_line(PyObject *Py_UNUSED(module), PyObject *frame)
{
    if (!PyFrame_Check(frame)) {
        PyErr_SetString(PyExc_TypeError, "a frame is needed");
        return NULL;
    }
    PyObject *result = NULL;
    PyObject *line = PyUnicode_FromString("line");
    PyObject *trace = PyObject_GetAttrString(frame, "f_trace");
    if (line == NULL || trace == NULL) {
        goto done;
    }
    if (trace == Py_None) {
        result = Py_NewRef(Py_None);
        goto done;
    }
    if (compat_refresh_locals((PyFrameObject *)frame) < 0) {
        goto done;
    }
    result = PyObject_CallFunctionObjArgs(trace, frame, line, Py_None, NULL);
    compat_store_locals((PyFrameObject *)frame);
    if (result != NULL && result != Py_None && PyObject_SetAttrString(frame, "f_trace", result) < 0) {
        Py_CLEAR(result);
    }
#if !HAS_MONITORING
    told = (PyFrameObject *)frame;
#endif
done:
    Py_XDECREF(line);
    Py_XDECREF(trace);
    if (result != NULL) {
        Py_SETREF(result, Py_NewRef(Py_None));
    }
    return result;
}
