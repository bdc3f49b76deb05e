/* Evaluates simple conditions, as Python would: its own operators, on values of exact builtin types only.
 *
 * I1. No step runs code of the user's, or takes longer than the operator does: other types, errors and what Python may warn
 *     of are left to Python (VERDICT_OPEN).
 * I2. Steps jump ahead only. What each finds on the stack is there: the compiler, judging.py, is the only one that makes
 *     steps, and condition_is_whole() checks them once.
 */
#include "conditions.h"

/* The same values as in judging.py. */
typedef enum {
    STEP_OLD = 0,
    STEP_NEW = 1,
    STEP_ABSENT = 2,
    STEP_CONSTANT = 3, /* argument: its index */
    STEP_COMPARE = 4,  /* argument: Py_LT ... Py_GE */
    STEP_IS = 5,       /* argument: 1 for `is not`, as below */
    STEP_IN = 6,
    STEP_NOT = 7,
    STEP_NEGATIVE = 8,
    STEP_BINARY = 9,   /* argument: BINARY_... */
    STEP_AND = 10, /* argument: the step to go on with when the value on top is false, which stays; else it goes */
    STEP_OR = 11, /* the same for one that is true */
} StepKind;

enum { BINARY_ADD, BINARY_SUBTRACT, BINARY_MULTIPLY, BINARY_REMAINDER, BINARY_FLOOR, BINARY_DIVIDE, BINARY_COUNT };

#define DEEPEST 16

int
condition_knows(PyObject *value)
{
    return PyLong_CheckExact(value) || PyFloat_CheckExact(value) || PyUnicode_CheckExact(value) || value == Py_None ||
           PyBool_Check(value) || PyBytes_CheckExact(value);
}

int
condition_are_same(PyObject *one, PyObject *other)
{
    if (one == other) {
        return 1;
    }
    if (Py_TYPE(one) != Py_TYPE(other)) {
        return 0;
    }
    if (PyFloat_CheckExact(one)) {
        double values[2] = {PyFloat_AS_DOUBLE(one), PyFloat_AS_DOUBLE(other)};
        return memcmp(&values[0], &values[1], sizeof(double)) == 0;
    }
    int equal = PyObject_RichCompareBool(one, other, Py_EQ);
    PyErr_Clear();
    return equal == 1;
}

static int
is_number(PyObject *value)
{
    return PyLong_CheckExact(value) || PyFloat_CheckExact(value) || PyBool_Check(value);
}

/* Return `one` compared with `other`, new; NULL where that is Python's: -b has it warn of bytes. */
static PyObject *
compare(PyObject *one, PyObject *other, int operator)
{
    if (PyBytes_CheckExact(one) != PyBytes_CheckExact(other)) {
        return NULL;
    }
    return condition_knows(one) && condition_knows(other) ? PyObject_RichCompare(one, other, operator) : NULL;
}

/* Return whether `value` is in `container`, a tuple of constants or a text; -1 where that is Python's. */
static int
contains(PyObject *container, PyObject *value)
{
    if (PyUnicode_CheckExact(container) && PyUnicode_CheckExact(value)) {
        return PyUnicode_Contains(container, value);
    }
    if (!PyTuple_CheckExact(container)) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(container); i++) {
        PyObject *item = PyTuple_GET_ITEM(container, i);
        if (item == value) {
            return 1;
        }
        PyObject *equal = compare(item, value, Py_EQ);
        if (equal == NULL) {
            return -1;
        }
        int found = equal == Py_True;
        Py_DECREF(equal);
        if (found) {
            return 1;
        }
    }
    return 0;
}

static PyObject *
calculate(PyObject *one, PyObject *other, int operator)
{
    static const binaryfunc functions[BINARY_COUNT] = {
        [BINARY_ADD] = PyNumber_Add,           [BINARY_SUBTRACT] = PyNumber_Subtract,
        [BINARY_MULTIPLY] = PyNumber_Multiply, [BINARY_REMAINDER] = PyNumber_Remainder,
        [BINARY_FLOOR] = PyNumber_FloorDivide, [BINARY_DIVIDE] = PyNumber_TrueDivide,
    };
    return is_number(one) && is_number(other) ? functions[operator](one, other) : NULL;
}

/* Do a step that takes one or two values from the stack and leaves one; return that, new. NULL where it is Python's. */
static PyObject *
apply(StepKind kind, int argument, PyObject *one, PyObject *other)
{
    int found;
    switch (kind) {
    case STEP_COMPARE:
        return compare(one, other, argument);
    case STEP_IS:
        return PyBool_FromLong((one == other) != argument);
    case STEP_IN:
        found = contains(other, one);
        return found < 0 ? NULL : PyBool_FromLong(found != argument);
    case STEP_NOT:
        found = condition_knows(one) ? PyObject_Not(one) : -1;
        return found < 0 ? NULL : PyBool_FromLong(found);
    case STEP_NEGATIVE:
        return is_number(one) && !PyBool_Check(one) ? PyNumber_Negative(one) : NULL; /* Python warns of `~` alone. */
    default:
        assert(kind == STEP_BINARY);
        return calculate(one, other, argument);
    }
}

static inline int
takes_two(StepKind kind)
{
    return kind == STEP_COMPARE || kind == STEP_IS || kind == STEP_IN || kind == STEP_BINARY;
}

Verdict
condition_holds(PyObject *steps, PyObject *constants, PyObject *absent, PyObject *old, PyObject *now)
{
    const unsigned char *bytes = (const unsigned char *)PyBytes_AS_STRING(steps);
    Py_ssize_t length = PyBytes_GET_SIZE(steps) / 2;
    PyObject *stack[DEEPEST]; /* Owned. */
    int depth = 0;
    Verdict verdict = VERDICT_OPEN;
    for (Py_ssize_t i = 0; i < length; i++) {
        StepKind kind = (StepKind)bytes[2 * i];
        int argument = bytes[2 * i + 1];
        if (kind <= STEP_CONSTANT) {
            PyObject *value = kind == STEP_OLD      ? old
                              : kind == STEP_NEW    ? now
                              : kind == STEP_ABSENT ? absent
                                                    : PyTuple_GET_ITEM(constants, argument);
            stack[depth++] = Py_NewRef(value);
        }
        else if (kind == STEP_AND || kind == STEP_OR) {
            PyObject *top = stack[depth - 1];
            int is_true = condition_knows(top) ? PyObject_IsTrue(top) : -1;
            if (is_true < 0) {
                goto done;
            }
            if (is_true == (kind == STEP_OR)) {
                i = argument - 1; /* I2 */
            }
            else {
                Py_DECREF(stack[--depth]);
            }
        }
        else {
            int two = takes_two(kind);
            PyObject *result = apply(kind, argument, stack[depth - 1 - two], two ? stack[depth - 1] : NULL);
            if (result == NULL) {
                goto done;
            }
            if (two) {
                Py_DECREF(stack[--depth]);
            }
            Py_SETREF(stack[depth - 1], result);
        }
    }
    assert(depth == 1);
    if (condition_knows(stack[0])) {
        verdict = PyObject_IsTrue(stack[0]) ? VERDICT_TRUE : VERDICT_FALSE;
    }
done:
    while (depth > 0) {
        Py_DECREF(stack[--depth]);
    }
    PyErr_Clear();
    return verdict;
}

int
condition_is_whole(PyObject *steps, PyObject *constants)
{
    const unsigned char *bytes = (const unsigned char *)PyBytes_AS_STRING(steps);
    Py_ssize_t length = PyBytes_GET_SIZE(steps) / 2;
    int depths[257]; /* How deep the stack is before each step that a jump leads to; -1 for none. */
    int depth = 0;
    if (PyBytes_GET_SIZE(steps) % 2 != 0 || length > 256) {
        return 0;
    }
    memset(depths, -1, sizeof(depths));
    for (Py_ssize_t i = 0; i < length; i++) {
        int kind = bytes[2 * i];
        int argument = bytes[2 * i + 1];
        if (depths[i] >= 0 && depths[i] != depth) {
            return 0;
        }
        if (kind <= STEP_CONSTANT) {
            depth++;
        }
        else if (kind == STEP_AND || kind == STEP_OR) {
            if (argument <= i || argument > length) {
                return 0;
            }
            depths[argument] = depth--;
        }
        else {
            depth -= takes_two((StepKind)kind);
        }
        int is_known = kind == STEP_CONSTANT  ? argument < PyTuple_GET_SIZE(constants)
                       : kind == STEP_COMPARE ? argument <= Py_GE
                       : kind == STEP_BINARY  ? argument < BINARY_COUNT
                                              : kind <= STEP_OR;
        if (!is_known || depth < (kind == STEP_AND || kind == STEP_OR ? 0 : 1) || depth > DEEPEST) {
            return 0;
        }
    }
    return depth == 1 && (depths[length] < 0 || depths[length] == 1);
}
