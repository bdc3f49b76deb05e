/* What a call of a function in C touches of the armed accesses. Only where it may be something, by the function's name and
 * by its first arguments, is Python asked, which knows what these functions do (mechanisms/callees.py).
 *
 * I1. Operands are borrowed from the stack of the frame, which keeps them until the instruction runs. What is given to
 *     Python, which may let other threads run, has references of its own.
 */
#include "access.h"
#include "sites.h"

static void
take_judgement(Touched *touched, PyObject *tokens, int is_read)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tokens); i++) {
        touch_token(touched, PyTuple_GET_ITEM(tokens, i), is_read);
    }
}

void
callees_judge(Touched *touched, PyObject *args)
{
    CoreState *state = touched->state;
    if (args == NULL || state->judge == NULL) {
        PyErr_Clear();
        Py_XDECREF(args);
        return;
    }
    int was_on = PyGC_Disable(); /* As in events_drain(): finalisers would change things unseen. */
    state->last_thread = NULL;
    state->switches = *state->switches_now;
    PyObject *function = Py_NewRef(state->judge);
    PyObject *result = PyObject_CallObject(function, args);
    Py_DECREF(function);
    Py_DECREF(args);
    PyObject *stored, *read; /* Borrowed from result. */
    if (result != NULL && PyArg_ParseTuple(result, "O!O!", &PyTuple_Type, &stored, &PyTuple_Type, &read)) {
        take_judgement(touched, stored, 0);
        take_judgement(touched, read, 1);
    }
    touched->failed = PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception);
    PendingError error = take_pending_error();
    Py_XDECREF(result);
    recheck_catch_up(state);
    if (touched->failed) {
        put_back_pending_error(error);
    }
    else {
        drop_pending_error(error);
    }
    if (was_on) {
        PyGC_Enable();
    }
}

static int
is_name_of_interest(CoreState *state, PyObject *name)
{
    return name != NULL && PySet_Contains(state->call_names, name) == 1;
}

/* True when `callee` is a function in C by whose name it may touch what is armed. */
static int
callee_may_touch(CoreState *state, PyObject *callee)
{
    if (PyCFunction_Check(callee)) {
        PyObject *name = PyUnicode_FromString(((PyCFunctionObject *)callee)->m_ml->ml_name);
        int may = is_name_of_interest(state, name);
        Py_XDECREF(name);
        PyErr_Clear();
        return may;
    }
    if (Py_IS_TYPE(callee, &PyMethodDescr_Type) || Py_IS_TYPE(callee, &PyWrapperDescr_Type)) {
        return is_name_of_interest(state, ((PyDescrObject *)callee)->d_name);
    }
    if (Py_TYPE(callee) == state->method_wrapper_type) {
        return 1; /* It is seldom called by name. */
    }
    return strncmp(Py_TYPE(callee)->tp_name, "operator.", 9) == 0; /* itemgetter, attrgetter */
}

static int
is_armed(CoreState *state, PyObject *object)
{
    return access_first(state, object) != NULL;
}

/* True when a call with `operand` among its first ones may touch what is armed. */
static int
operand_matters(CoreState *state, PyObject *operand)
{
    if (is_armed(state, operand)) {
        return 1;
    }
    return PyUnicode_CheckExact(operand) &&
           ((state->access_interest & INTEREST_ANY_NAME) || PySet_Contains(state->stored_names, operand) == 1 ||
            PySet_Contains(state->read_names, operand) == 1);
}

/* True when a call of `callee` with these first operands may touch what is armed. */
static int
may_call_matter(CoreState *state, PyObject *callee, PyObject *const *operands, Py_ssize_t count)
{
    PyObject *self = PyCFunction_Check(callee) ? PyCFunction_GET_SELF(callee) : NULL;
    if (Py_TYPE(callee) == state->method_wrapper_type || (self != NULL && operand_matters(state, self)) ||
        strcmp(Py_TYPE(callee)->tp_name, "operator.attrgetter") == 0) {
        return 1;
    }
    for (Py_ssize_t i = 0; i < count && i < 3; i++) {
        if (operand_matters(state, operands[i])) {
            return 1;
        }
    }
    return 0;
}

#define FEW_OPERANDS 4

/* 0 when nothing that is called at this site can be of interest. */
static int
touch_by_call(Touched *touched, CodeInfo *info, InterpreterFrame *frame, int unit)
{
    CoreState *state = touched->state;
    int has_keywords = info->sites->kind[unit] == SITE_CALL_KEYWORDS;
    int depth = info->depth[unit];
    int count = info->sites->argument[unit];
    PyObject *lower = compat_operand(frame, depth, count + 1 + has_keywords); /* Borrowed, as the others. */
    PyObject *upper = compat_operand(frame, depth, count + has_keywords);
    PyObject *callee = CALLEE_IS_LOWEST || lower != NULL ? lower : upper;
    PyObject *self = CALLEE_IS_LOWEST || lower != NULL ? upper : NULL;
    if (callee == NULL || !callee_may_touch(state, callee)) {
        return 0;
    }
    PyObject *few[FEW_OPERANDS];
    Py_ssize_t known = 0;
    if (self != NULL) {
        few[known++] = self;
    }
    for (int i = 0; i < count && known < FEW_OPERANDS; i++) {
        PyObject *operand = compat_operand(frame, depth, count - 1 - i + has_keywords);
        if (operand != NULL) {
            few[known++] = operand;
        }
    }
    if (!may_call_matter(state, callee, few, known)) {
        return 1;
    }
    PyObject *names = has_keywords ? compat_operand(frame, depth, 0) : site_keywords(state, info, unit);
    Py_ssize_t positional = count - (names == NULL ? 0 : PyTuple_GET_SIZE(names));
    PyObject *arguments = PyTuple_New(positional + (self != NULL));
    if (arguments == NULL) {
        PyErr_Clear();
        return 1;
    }
    if (self != NULL) {
        PyTuple_SET_ITEM(arguments, 0, Py_NewRef(self));
    }
    for (int i = 0; i < positional; i++) {
        PyObject *operand = compat_operand(frame, depth, count - 1 - i + has_keywords);
        PyTuple_SET_ITEM(arguments, i + (self != NULL), Py_NewRef(operand == NULL ? Py_None : operand));
    }
    callees_judge(touched,
                  Py_BuildValue("iONO", SITE_CALL, callee, arguments, names == NULL ? state->no_names : names));
    return 1;
}

/* `f(*arguments, **keywords)` */
static int
touch_by_unpacked_call(Touched *touched, CodeInfo *info, InterpreterFrame *frame, int unit)
{
    CoreState *state = touched->state;
    int depth = info->depth[unit];
    int has_keywords = ALWAYS_HAS_KEYWORDS || (info->sites->argument[unit] & 1);
    PyObject *keywords = has_keywords ? compat_operand(frame, depth, 0) : NULL; /* Borrowed, as the others. */
    PyObject *arguments = compat_operand(frame, depth, has_keywords);
    PyObject *callee = compat_operand(frame, depth, has_keywords + 1 + CALLEE_IS_LOWEST);
    if (callee == NULL || arguments == NULL || !callee_may_touch(state, callee)) {
        return 0;
    }
    int is_tuple = PyTuple_CheckExact(arguments);
    if (!is_tuple && !PyList_CheckExact(arguments)) {
        return 1;
    }
    PyObject *const *items = is_tuple ? &PyTuple_GET_ITEM(arguments, 0) : ((PyListObject *)arguments)->ob_item;
    if (may_call_matter(state, callee, items, Py_SIZE(arguments))) {
        callees_judge(touched, Py_BuildValue("iOOO", SITE_CALL_UNPACKED, callee, arguments,
                                             keywords == NULL ? Py_None : keywords));
    }
    return 1;
}

int
callees_touch(Touched *touched, CodeInfo *info, InterpreterFrame *frame, int unit)
{
    return info->sites->kind[unit] == SITE_CALL_UNPACKED ? touch_by_unpacked_call(touched, info, frame, unit)
                                                         : touch_by_call(touched, info, frame, unit);
}
