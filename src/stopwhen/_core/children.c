/* Notes which programs the process starts as its children.
 *
 * `subprocess` and `multiprocessing` start them by the function objects `_posixsubprocess.fork_exec` and
 * `os.posix_spawn`, however they came by them. While children are noted, these run our functions in C, which call the
 * interpreter's. All that can be seen of the objects is as before.
 *
 * I1. Of each of `state->starters`, `function` is NULL, or the object whose `m_ml` is ours, and `definition` what that
 *     was.
 * I2. `state->children` is NULL, or a list that has no objects of the program's but exact texts and bytes.
 */
#include "state.h"

enum { MOST_CHILDREN = 1000, MOST_WORDS = 64 };

static PyMethodDef replaced[STARTERS];

typedef PyObject *(*PyCFunctionFast_)(PyObject *, PyObject *const *, Py_ssize_t);
typedef PyObject *(*PyCFunctionFastWithKeywords_)(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);

/* Return a tuple of the exact texts and bytes at the start of a list or tuple; NULL with an exception set. */
static PyObject *
words_of(PyObject *sequence)
{
    if (!PyList_CheckExact(sequence) && !PyTuple_CheckExact(sequence)) {
        return PyTuple_New(0);
    }
    PyObject *words = PyList_New(0);
    for (Py_ssize_t i = 0; words != NULL && i < PySequence_Fast_GET_SIZE(sequence) && i < MOST_WORDS; i++) {
        PyObject *word = PySequence_Fast_GET_ITEM(sequence, i); /* Borrowed. */
        if ((PyUnicode_CheckExact(word) || PyBytes_CheckExact(word)) && PyList_Append(words, word) < 0) {
            Py_CLEAR(words);
        }
    }
    PyObject *result = words == NULL ? NULL : PyList_AsTuple(words);
    Py_XDECREF(words);
    return result;
}

/* Note a child that has been started; want of memory is no reason to disturb the program. */
static void
note(CoreState *state, PyObject *arguments, PyObject *executables)
{
    assert(!PyErr_Occurred());
    if (state->children == NULL || PyList_GET_SIZE(state->children) >= MOST_CHILDREN) {
        return;
    }
    PyObject *child = NULL, *files = NULL, *words = words_of(arguments);
    if (words != NULL) {
        files = words_of(executables);
    }
    if (files != NULL) {
        child = PyTuple_Pack(2, files, words);
    }
    if (child == NULL || PyList_Append(state->children, child) < 0) {
        PyErr_Clear();
    }
    Py_XDECREF(child);
    Py_XDECREF(files);
    Py_XDECREF(words);
}

/* The functions that start programs; each is given the arguments that `note` wants. */
enum { FORK_EXEC, POSIX_SPAWN };

static PyObject *
fork_exec_fast(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    CoreState *state = state_for_callback();
    assert(state != NULL && state->starters[FORK_EXEC].definition != NULL);
    void (*original)(void) = (void (*)(void))state->starters[FORK_EXEC].definition->ml_meth;
    PyObject *result = ((PyCFunctionFast_)original)(module, arguments, count);
    if (result != NULL && count > 1) {
        note(state, arguments[0], arguments[1]);
    }
    return result;
}

static PyObject *
fork_exec(PyObject *module, PyObject *arguments)
{
    CoreState *state = state_for_callback();
    assert(state != NULL && state->starters[FORK_EXEC].definition != NULL);
    PyObject *result = state->starters[FORK_EXEC].definition->ml_meth(module, arguments);
    if (result != NULL && PyTuple_GET_SIZE(arguments) > 1) {
        note(state, PyTuple_GET_ITEM(arguments, 0), PyTuple_GET_ITEM(arguments, 1));
    }
    return result;
}

static PyObject *
posix_spawn(PyObject *module, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords)
{
    CoreState *state = state_for_callback();
    assert(state != NULL && state->starters[POSIX_SPAWN].definition != NULL);
    void (*original)(void) = (void (*)(void))state->starters[POSIX_SPAWN].definition->ml_meth;
    PyObject *result = ((PyCFunctionFastWithKeywords_)original)(module, arguments, count, keywords);
    if (result != NULL && count > 1) {
        PyObject *files = PyTuple_Pack(1, arguments[0]);
        if (files == NULL) {
            PyErr_Clear();
            return result;
        }
        note(state, arguments[1], files);
        Py_DECREF(files);
    }
    return result;
}

/* Have `function` run `ours`, if it is called in the way of `flags`. */
static void
stand_before(CoreState *state, int which, PyObject *function, int flags, void (*ours)(void))
{
    if (!PyCFunction_CheckExact(function) || PyCFunction_GET_FLAGS(function) != flags) {
        return; /* None, or another interpreter's ways: nothing is noted. */
    }
    PyCFunctionObject *builtin = (PyCFunctionObject *)function;
    replaced[which] = *builtin->m_ml;
    replaced[which].ml_meth = (PyCFunction)ours;
    state->starters[which].definition = builtin->m_ml;
    state->starters[which].function = Py_NewRef(function);
    builtin->m_ml = &replaced[which]; /* I1 */
}

/* note_children(fork_exec, posix_spawn): note what these functions start from now on; each may be None. */
PyObject *
children_note(PyObject *module, PyObject *args)
{
    CoreState *state = PyModule_GetState(module);
    PyObject *first, *second; /* Borrowed. */
    if (!PyArg_ParseTuple(args, "OO:note_children", &first, &second)) {
        return NULL;
    }
    if (state->children != NULL) {
        Py_RETURN_NONE;
    }
    state->children = PyList_New(0);
    if (state->children == NULL) {
        return NULL;
    }
    stand_before(state, FORK_EXEC, first, METH_VARARGS, (void (*)(void))fork_exec);
    stand_before(state, FORK_EXEC, first, METH_FASTCALL, (void (*)(void))fork_exec_fast);
    stand_before(state, POSIX_SPAWN, second, METH_FASTCALL | METH_KEYWORDS, (void (*)(void))posix_spawn);
    Py_RETURN_NONE;
}

/* take_children(): note no more; return for each child the files that may be its program, and its arguments. */
PyObject *
children_take(PyObject *module, PyObject *Py_UNUSED(unused))
{
    CoreState *state = PyModule_GetState(module);
    PyObject *children = state->children == NULL ? PyList_New(0) : Py_NewRef(state->children);
    children_end(state);
    return children;
}

/* Let the functions be as before. `definition` stays, for a thread that runs our function just now. */
void
children_end(CoreState *state)
{
    for (int i = 0; i < STARTERS; i++) {
        if (state->starters[i].function != NULL) {
            ((PyCFunctionObject *)state->starters[i].function)->m_ml = state->starters[i].definition;
            Py_CLEAR(state->starters[i].function);
        }
    }
    Py_CLEAR(state->children);
}
