/* Calls what an action asks for straight from an event, so that the frame which the callee finds as its caller's is the
 * program's own: a debugger is opened as if the program had called it between two instructions.
 *
 * I1. While a call is made this thread gets no events of any tool or trace function, as in the event itself.
 * I2. While a call is made `what_event` says that there is no event: a debugger that sets `f_lineno` would move the
 *     frame on, and the interpreter heeds that after LINE events only.
 * I3. `leaving` is set while steps are taken before an instruction that ends or suspends a frame, and for which the
 *     interpreter had no event of a debugger when it began with the instruction: it then has none, whatever is asked for
 *     meanwhile. The debugger would not learn that the frame is left:
 *
 *         def f(): global x; x = 1     # `next` at the hit goes on to the program's end
 */
#include "codeinfo.h"

#if HAS_MONITORING
#include <opcode.h>
#endif

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

#if HAS_MONITORING
/* I3 */
static _Thread_local struct {
    PyFrameObject *frame; /* Never followed; NULL for none. */
    PyObject *value; /* Owned; what it returns or yields. */
} leaving;

/* Return what the instruction at `unit` returns or yields, borrowed; NULL for another instruction, or without knowing. */
static PyObject *
value_to_leave_with(CoreState *state, CodeInfo *info, const unsigned char *bytes, int unit)
{
    unsigned char opcode = bytes[2 * unit];
#ifdef RETURN_CONST
    if (opcode == RETURN_CONST) {
        Py_ssize_t index = bytes[2 * unit + 1];
        for (int i = 1; i <= 3 && unit >= i && bytes[2 * (unit - i)] == state->extended_arg; i++) {
            index |= (Py_ssize_t)bytes[2 * (unit - i) + 1] << (8 * i);
        }
        return index < PyTuple_GET_SIZE(info->code->co_consts) ? PyTuple_GET_ITEM(info->code->co_consts, index) : NULL;
    }
#endif
    return opcode == RETURN_VALUE || opcode == YIELD_VALUE ? compat_stack_top(info->depth[unit]) : NULL;
}

static void
begin_leaving(CoreState *state)
{
    int offset;
    PyCodeObject *code = compat_is_at_instruction() ? compat_place(&offset) : NULL; /* Borrowed. */
    CodeInfo *info = code == NULL || compat_has_events(code, offset / 2) ? NULL : code_info(state, code);
    PyObject *bytecode = info == NULL ? NULL : PyCode_GetCode(code); /* Owned. */
    if (bytecode != NULL) {
        const unsigned char *bytes = (const unsigned char *)PyBytes_AS_STRING(bytecode);
        leaving.value = Py_XNewRef(value_to_leave_with(state, info, bytes, offset / 2));
        leaving.frame = leaving.value == NULL ? NULL : compat_running_frame();
        Py_DECREF(bytecode);
    }
    PyErr_Clear(); /* No memory: the debugger does not learn that the frame is left. */
}

static void
end_leaving(void)
{
    leaving.frame = NULL;
    Py_CLEAR(leaving.value);
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

static int
is_step(PyObject *result)
{
    return result != NULL && PyTuple_Check(result) && PyTuple_GET_SIZE(result) == 2;
}

/* Take steps, beginning with `result`, until something else than a step is returned. Steals `result`, which may be NULL
 * with an exception set; so may what is returned. `state` is NULL where no event has called. */
PyObject *
calling_take_steps(CoreState *state, PyObject *result)
{
#if HAS_MONITORING
    int is_event = state != NULL && is_step(result);
    if (is_event) {
        begin_leaving(state);
    }
#else
    (void)state;
#endif
    while (is_step(result)) {
        Py_SETREF(result, take_step(result));
    }
#if HAS_MONITORING
    if (is_event) {
        PendingError error = take_pending_error();
        end_leaving();
        put_back_pending_error(error);
    }
#endif
    return result;
}

/* take_steps(result): the same for who is not called by an event; the callees find that frame as their caller's. */
PyObject *
calling_take_steps_here(PyObject *Py_UNUSED(module), PyObject *result)
{
    return calling_take_steps(NULL, Py_NewRef(result));
}

/* Give the trace function of `frame` an event, as the interpreter does. */
static PyObject *
deliver(PyObject *frame, const char *event, PyObject *argument)
{
    PyObject *result = NULL;
    PyObject *kind = PyUnicode_FromString(event);
    PyObject *trace = PyObject_GetAttrString(frame, "f_trace");
    if (kind == NULL || trace == NULL) {
        goto done;
    }
    if (trace == Py_None) {
        result = Py_NewRef(Py_None);
        goto done;
    }
    if (compat_refresh_locals((PyFrameObject *)frame) < 0) {
        goto done;
    }
    result = PyObject_CallFunctionObjArgs(trace, frame, kind, argument, NULL);
    compat_store_locals((PyFrameObject *)frame);
    if (result != NULL && result != Py_None && PyObject_SetAttrString(frame, "f_trace", result) < 0) {
        Py_CLEAR(result);
    }
done:
    Py_XDECREF(kind);
    Py_XDECREF(trace);
    if (result != NULL) {
        Py_SETREF(result, Py_NewRef(Py_None));
    }
    return result;
}

/* deliver_line(frame): give the trace function of `frame` a `line` event for where it stands. What it raises is for the
 * caller to handle. */
PyObject *
calling_deliver_line(PyObject *Py_UNUSED(module), PyObject *frame)
{
    if (!PyFrame_Check(frame)) {
        PyErr_SetString(PyExc_TypeError, "a frame is needed");
        return NULL;
    }
    PyObject *result = deliver(frame, "line", Py_None);
#if !HAS_MONITORING
    told = (PyFrameObject *)frame;
#endif
    return result;
}

/* deliver_return(frame): the same for a `return` event, if `frame` is about to be left without one (I3). */
PyObject *
calling_deliver_return(PyObject *Py_UNUSED(module), PyObject *frame)
{
#if HAS_MONITORING
    if (leaving.frame != NULL && (PyObject *)leaving.frame == frame) {
        return deliver(frame, "return", leaving.value);
    }
#endif
    Py_RETURN_NONE;
}
