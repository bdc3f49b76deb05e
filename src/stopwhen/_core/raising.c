/* Raises an exception as if an instruction that has already finished had raised it.
 *
 * Events come before the next instruction, and an exception raised there is handled as that instruction's: when the
 * write was the last thing in a `try` body, its `except` would miss it, and the traceback would name the next line. So
 * for this one unwinding the code's exception table says of the next instruction what it says of the one that wrote,
 * and the traceback's entry is set back.
 *
 * I1. `raising.table` is the code's own exception table exactly while the code carries one of ours instead. That lasts
 *     until the next event of that code (INSTRUCTION at the handler, PY_UNWIND without one; on 3.11 the next trace
 *     event): nothing of the program has run in between.
 */
#include "codeinfo.h"
#include "exctable.h"

static unsigned char *
write_number(unsigned char *byte, unsigned int number, unsigned char mark)
{
    int shift = 0;
    while (shift < 30 && number >> (shift + 6) != 0) {
        shift += 6;
    }
    for (; shift > 0; shift -= 6) {
        *byte++ = (unsigned char)((number >> shift & 63) | 64 | mark);
        mark = 0;
    }
    *byte++ = (unsigned char)((number & 63) | mark);
    return byte;
}

static unsigned char *
write_entry(unsigned char *byte, const ExceptionEntry *entry)
{
    byte = write_number(byte, entry->start, 128);
    byte = write_number(byte, entry->size, 0);
    byte = write_number(byte, entry->target, 0);
    return write_number(byte, entry->depth, 0);
}

/* Find the entry that covers `unit`; 0 when there is none. */
static int
find_entry(PyObject *table, unsigned int unit, ExceptionEntry *found)
{
    const unsigned char *byte = (const unsigned char *)PyBytes_AS_STRING(table);
    const unsigned char *end = byte + PyBytes_GET_SIZE(table);
    while (byte < end) {
        byte = read_exception_entry(byte, found);
        if (found->start <= unit && unit < found->start + found->size) {
            return 1;
        }
    }
    return 0;
}

/* Return `table` with `unit` covered by `handler`, or by nothing when that is NULL, as a new bytes object. */
static PyObject *
table_with(PyObject *table, unsigned int unit, const ExceptionEntry *handler)
{
    const unsigned char *byte = (const unsigned char *)PyBytes_AS_STRING(table);
    const unsigned char *end = byte + PyBytes_GET_SIZE(table);
    /* At most two more entries of four numbers of six bytes each; a split one may get longer numbers. */
    unsigned char *bytes = PyMem_Malloc((size_t)(end - byte) + 96);
    if (bytes == NULL) {
        return PyErr_NoMemory();
    }
    unsigned char *out = bytes;
    int placed = handler == NULL;
    while (byte < end) {
        ExceptionEntry entry;
        byte = read_exception_entry(byte, &entry);
        unsigned int stop = entry.start + entry.size;
        if (entry.start < unit) {
            ExceptionEntry before = entry;
            before.size = (stop < unit ? stop : unit) - entry.start;
            out = write_entry(out, &before);
        }
        if (!placed && stop > unit) {
            ExceptionEntry ours = {unit, 1, handler->target, handler->depth};
            out = write_entry(out, &ours);
            placed = 1;
        }
        if (stop > unit + 1) {
            ExceptionEntry after = entry;
            after.start = entry.start > unit ? entry.start : unit + 1;
            after.size = stop - after.start;
            out = write_entry(out, &after);
        }
    }
    if (!placed) {
        ExceptionEntry ours = {unit, 1, handler->target, handler->depth};
        out = write_entry(out, &ours);
    }
    PyObject *result = PyBytes_FromStringAndSize((char *)bytes, out - bytes);
    PyMem_Free(bytes);
    return result;
}

static int
same_handler(const ExceptionEntry *one, const ExceptionEntry *other)
{
    return one->target == other->target && one->depth == other->depth;
}

/* Let the instruction at `next` (bytes) be handled as the one at `writer`. */
static int
lend_handler(CoreState *state, PyCodeObject *code, int writer, int next)
{
    ExceptionEntry wanted, present;
    PyObject *table = code->co_exceptiontable; /* Borrowed from code. */
    int is_wanted = find_entry(table, (unsigned int)writer / 2, &wanted);
    int is_present = find_entry(table, (unsigned int)next / 2, &present);
    if (is_wanted == is_present && (!is_wanted || same_handler(&wanted, &present))) {
        return 0;
    }
    PyObject *ours = table_with(table, (unsigned int)next / 2, is_wanted ? &wanted : NULL);
    if (ours == NULL) {
        return -1;
    }
    state->raising.table = table; /* Takes over the code's reference (I1). */
    code->co_exceptiontable = ours;
    return 0;
}

/* Raise `exception` in the running frame as if its instruction at `writer` had; always returns -1. */
int
raising_raise(CoreState *state, PyObject *exception, PyObject *frame, int writer)
{
    raising_end(state);
    PyFrameObject *current = PyThreadState_GetFrame(PyThreadState_Get());
    if (current != NULL && (PyObject *)current == frame) {
        PyCodeObject *code = PyFrame_GetCode(current);
        state->raising.code = code; /* Owned from here on. */
        state->raising.exception = Py_NewRef(exception);
        state->raising.offset = writer;
        if (lend_handler(state, code, writer, PyFrame_GetLasti(current)) < 0) {
            PyErr_Clear(); /* No memory: the next instruction's handler must do. */
        }
#if HAS_MONITORING
        CodeInfo *info = code_info(state, code);
        if (info == NULL) {
            PyErr_Clear();
        }
        else if (!info->awaited) {
            info->awaited = 1;
            if (instrument_code(state, info, 1) < 0) {
                PyErr_Clear();
            }
        }
#endif
    }
    Py_XDECREF(current);
    PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    return -1;
}

/* The exception has just been given its traceback entry for the frame: set that back to the instruction that wrote. */
void
raising_correct_traceback(CoreState *state, PyObject *exception, PyObject *traceback)
{
    if (state->raising.exception != exception || traceback == NULL || !PyTraceBack_Check(traceback)) {
        return;
    }
    PyTracebackObject *entry = (PyTracebackObject *)traceback;
    entry->tb_lasti = state->raising.offset;
    entry->tb_lineno = PyCode_Addr2Line(state->raising.code, state->raising.offset);
    Py_CLEAR(state->raising.exception); /* Further entries are of frames further out. */
}

/* The exception has been handled, or the frame left: the code has its own table again. */
void
raising_end(CoreState *state)
{
    PyCodeObject *code = state->raising.code;
    if (code == NULL) {
        return;
    }
    state->raising.code = NULL;
    if (state->raising.table != NULL) {
        PyObject *ours = code->co_exceptiontable;
        code->co_exceptiontable = state->raising.table;
        state->raising.table = NULL;
        Py_DECREF(ours);
    }
    Py_CLEAR(state->raising.exception);
    Py_DECREF(code);
}
