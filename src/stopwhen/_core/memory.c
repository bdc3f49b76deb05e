/* Checks of memory that an object gives out through the buffer protocol, and of the references to objects in it.
 *
 * I1. The buffer is asked for from a type in C, `extra`: a subclass may have a `__buffer__` of its own, in Python. It is
 *     given back before anything else runs, so the owner can be resized at any time but during a look.
 * I2. Of memory larger than MOST_KEPT only a fingerprint is kept: what changed in it cannot be told.
 * I3. Memory that cannot be had, since the owner is closed or released, has the size -1.
 * I4. Mapped memory with nothing behind it, since its file has become shorter or anonymous memory longer, is not looked at:
 *     that kills the process. The system is asked, not `mmap.size()`, amid which other threads run.
 */
#include "memory.h"
#ifdef __linux__
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define MOST_KEPT (1 << 24) /* Bytes. The same in content.py. */

typedef struct {
    Py_buffer buffer;
    char *copy;        /* Owned; NULL where the memory is one piece. */
    const char *bytes; /* Borrowed from either, item after item. */
    uint64_t shape;    /* Tells shapes of the same number of bytes apart. */
} Memory;

static uint64_t
mix(uint64_t state, uint64_t word)
{
    /* Each step can be undone, so two states that differ never become equal by the same word. */
    state = (state ^ word) * UINT64_C(0xD6E8FEB86659FD93);
    return (state << 29) | (state >> 35);
}

static void
close_memory(Check *check, Memory *memory)
{
    releasebufferproc release = ((PyTypeObject *)check->extra)->tp_as_buffer->bf_releasebuffer;
    if (release != NULL) {
        release(check->owner, &memory->buffer);
    }
    Py_CLEAR(memory->buffer.obj);
    PyMem_Free(memory->copy);
}

/* Note where the memory of a buffer begins and how far it reaches, gaps between its items included. */
static void
find_extent(const Py_buffer *buffer, const char **first, Py_ssize_t *extent)
{
    const char *begin = buffer->buf;
    const char *end = begin + buffer->itemsize;
    if (buffer->strides == NULL || buffer->shape == NULL) {
        end = begin + buffer->len;
    }
    for (int i = 0; buffer->strides != NULL && buffer->shape != NULL && i < buffer->ndim; i++) {
        Py_ssize_t reach = (buffer->shape[i] - 1) * buffer->strides[i];
        if (buffer->shape[i] == 0) {
            end = begin;
            break;
        }
        begin += reach < 0 ? reach : 0;
        end += reach > 0 ? reach : 0;
    }
    *first = begin;
    *extent = end - begin;
}

int
memory_is_shared(const Check *check, PyObject *object)
{
    if ((check->kind != CHECK_MEMORY && check->kind != CHECK_OBJECTS) || object == NULL) {
        return 0;
    }
    const char *first = NULL;
    Py_ssize_t extent = 0;
    const PyBufferProcs *procs = Py_TYPE(object)->tp_as_buffer;
    if (PyMemoryView_Check(object)) {
        find_extent(PyMemoryView_GET_BUFFER(object), &first, &extent);
    }
    else if (procs != NULL && procs->bf_getbuffer == ((PyTypeObject *)check->extra)->tp_as_buffer->bf_getbuffer) {
        Py_buffer buffer; /* I1: the same function in C as the owner's. */
        if (procs->bf_getbuffer(object, &buffer, PyBUF_STRIDED_RO) < 0) {
            PyErr_Clear();
            return 0;
        }
        find_extent(&buffer, &first, &extent);
        if (procs->bf_releasebuffer != NULL) {
            procs->bf_releasebuffer(object, &buffer);
        }
        Py_CLEAR(buffer.obj);
    }
    const char *own = check->memory;
    return first != NULL && own != NULL && first < own + check->fill && own < first + extent;
}

/* True when the owner maps memory, of a file or not. Elsewhere than on Linux no check is made for it (native.py). */
static int
is_mapped(const Check *check)
{
    return strcmp(((PyTypeObject *)check->extra)->tp_name, "mmap.mmap") == 0;
}

/* True when the end of a buffer can be read: the system tells so by a call that reads there, and does nothing else. */
static int
is_backed(const Py_buffer *buffer)
{
#ifdef __linux__
    uintptr_t last = ((uintptr_t)buffer->buf + (uintptr_t)buffer->len - 1) & ~(uintptr_t)7;
    int saved = errno;
    int is_bad = syscall(SYS_rt_sigprocmask, ~0, (void *)last, NULL, 8) < 0 && errno == EFAULT;
    errno = saved;
    return buffer->len == 0 || !is_bad;
#else
    (void)buffer;
    return 1;
#endif
}

/* -1 with an exception set when there is no memory to be had. */
static int
open_memory(Check *check, Memory *memory)
{
    Py_buffer *buffer = &memory->buffer;
    memory->copy = NULL;
    if (((PyTypeObject *)check->extra)->tp_as_buffer->bf_getbuffer(check->owner, buffer, PyBUF_STRIDED_RO) < 0) {
        return -1;
    }
    if (is_mapped(check) && !is_backed(buffer)) {
        close_memory(check, memory);
        PyErr_SetString(PyExc_BufferError, "there is nothing behind the memory any more"); /* I4 */
        return -1;
    }
    memory->bytes = buffer->buf;
    const char *first;
    find_extent(buffer, &first, &check->fill);
    check->memory = first;
    memory->shape = (uint64_t)buffer->ndim;
    for (int i = 0; i < buffer->ndim && buffer->shape != NULL; i++) {
        memory->shape = mix(memory->shape, (uint64_t)buffer->shape[i]);
    }
    if (!PyBuffer_IsContiguous(buffer, 'C')) {
        memory->copy = PyMem_Malloc((size_t)buffer->len + 1);
        memory->bytes = memory->copy;
        if (memory->copy == NULL) {
            PyErr_NoMemory();
        }
        if (memory->copy == NULL || PyBuffer_ToContiguous(memory->copy, buffer, buffer->len, 'C') < 0) {
            close_memory(check, memory);
            return -1;
        }
    }
    return 0;
}

static uint64_t
fingerprint(const char *bytes, Py_ssize_t length)
{
    uint64_t lanes[4] = {1, 2, 3, 4};
    uint64_t words[4] = {0};
    for (; length >= (Py_ssize_t)sizeof(words); length -= (Py_ssize_t)sizeof(words), bytes += sizeof(words)) {
        memcpy(words, bytes, sizeof(words));
        for (int i = 0; i < 4; i++) {
            lanes[i] = mix(lanes[i], words[i]);
        }
    }
    memset(words, 0, sizeof(words));
    memcpy(words, bytes, (size_t)length);
    uint64_t whole = 0;
    for (int i = 0; i < 4; i++) {
        whole = mix(whole, mix(lanes[i], words[i]));
    }
    return whole;
}

/* True when memory that cannot be had now could be had when it was last compared (I3); or when there is no room to copy
 * it: what reports the difference finds none then, or misses it. */
static int
is_newly_gone(const Check *check)
{
    int no_room = PyErr_ExceptionMatches(PyExc_MemoryError);
    PyErr_Clear();
    return no_room || check->size >= 0;
}

static int
keep(Check *check, const Memory *memory)
{
    Py_ssize_t length = memory->buffer.len;
    check->size = length;
    check->shape = memory->shape;
    if (length <= MOST_KEPT) {
        return check_keep_raw(check, memory->bytes, length);
    }
    uint64_t print = fingerprint(memory->bytes, length); /* I2 */
    return check_keep_raw(check, &print, sizeof(print));
}

int
memory_keep(Check *check)
{
    Memory memory;
    if (open_memory(check, &memory) < 0) {
        if (!is_mapped(check)) {
            return -1;
        }
        PyErr_Clear();
        check->size = -1; /* I3 */
        return 0;
    }
    int result = keep(check, &memory);
    close_memory(check, &memory);
    return result;
}

int
memory_differs(Check *check)
{
    Memory memory;
    if (open_memory(check, &memory) < 0) {
        return is_newly_gone(check);
    }
    Py_ssize_t length = memory.buffer.len;
    int differs = length != check->size || memory.shape != check->shape;
    if (!differs && length <= MOST_KEPT) {
        differs = check_raw_differs(check, memory.bytes, length);
    }
    else if (!differs) {
        uint64_t print = fingerprint(memory.bytes, length);
        differs = check_raw_differs(check, &print, sizeof(print));
    }
    close_memory(check, &memory);
    return differs;
}

/* Return (index of the first item that differs, old items, new items, number of items), the items as bytes. */
static PyObject *
difference(const Check *check, const Memory *memory)
{
    const char *old = check->raw;
    const char *now = memory->bytes;
    Py_ssize_t item = memory->buffer.itemsize < 1 ? 1 : memory->buffer.itemsize;
    Py_ssize_t length = memory->buffer.len;
    Py_ssize_t common = length < check->size ? length : check->size;
    Py_ssize_t start = 0;
    Py_ssize_t tail = 0;
    while (start < common && now[start] == old[start]) {
        start++;
    }
    start -= start % item;
    while (tail < common - start && now[length - 1 - tail] == old[check->size - 1 - tail]) {
        tail++;
    }
    tail -= tail % item;
    return Py_BuildValue("ny#y#n", start / item, old + start, check->size - tail - start, now + start,
                         length - tail - start, length / item);
}

static int
note_end(CoreState *state, Check *check, const Blame *blame)
{
    PyErr_Clear();
    check->size = -1; /* I3 */
    return check_note(state, check, DELTA_UNKNOWN, Py_NewRef(Py_None), blame);
}

int
memory_report(CoreState *state, Check *check, const Blame *blame)
{
    Memory memory;
    if (open_memory(check, &memory) < 0) {
        return PyErr_ExceptionMatches(PyExc_MemoryError) ? -1 : note_end(state, check, blame);
    }
    int is_known = check->size >= 0 && check->size <= MOST_KEPT && memory.buffer.len <= MOST_KEPT &&
                   (memory.buffer.ndim <= 1 || memory.shape == check->shape);
    if (is_known && memory.buffer.len == check->size && memory.shape == check->shape &&
        !check_raw_differs(check, memory.bytes, memory.buffer.len)) {
        close_memory(check, &memory);
        return 0;
    }
    PyObject *data = is_known ? difference(check, &memory) : Py_NewRef(Py_None);
    int result = check_note(state, check, is_known ? DELTA_SPLICED : DELTA_UNKNOWN, data, blame);
    if (keep(check, &memory) < 0) {
        result = -1;
    }
    close_memory(check, &memory);
    return result;
}

/* ---- references to objects: these are owned by the snapshot, so that an equal pointer is an equal object ---- */

int
memory_objects_differ(Check *check)
{
    Memory memory;
    if (open_memory(check, &memory) < 0) {
        int no_room = PyErr_ExceptionMatches(PyExc_MemoryError);
        PyErr_Clear(); /* I3 */
        return no_room;
    }
    Py_ssize_t length = memory.buffer.len;
    int differs = length != check->length * (Py_ssize_t)sizeof(PyObject *) || memory.shape != check->shape ||
                  (length > 0 && memcmp(memory.bytes, check->items, (size_t)length) != 0);
    close_memory(check, &memory);
    return differs;
}

/* Return the references as a new array of new references, NULLs among them; *length is their number. Keeps the shape. */
static PyObject **
references(Check *check, Py_ssize_t *length)
{
    Memory memory;
    if (open_memory(check, &memory) < 0) {
        return NULL;
    }
    *length = memory.buffer.len / (Py_ssize_t)sizeof(PyObject *);
    PyObject **items = PyMem_Malloc(((size_t)*length + 1) * sizeof(PyObject *));
    if (items == NULL) {
        PyErr_NoMemory();
    }
    else {
        memcpy(items, memory.bytes, (size_t)*length * sizeof(PyObject *));
        for (Py_ssize_t i = 0; i < *length; i++) {
            Py_XINCREF(items[i]);
        }
        check->shape = memory.shape;
    }
    close_memory(check, &memory);
    return items;
}

static void
release(PyObject **items, Py_ssize_t length)
{
    for (Py_ssize_t i = 0; i < length; i++) {
        Py_XDECREF(items[i]);
    }
    PyMem_Free(items);
}

int
memory_keep_objects(Check *check)
{
    Py_ssize_t length;
    PyObject **items = references(check, &length);
    if (items == NULL) {
        return -1;
    }
    int result = check_splice_items(check, 0, check->length, items, length);
    release(items, length);
    return result;
}

int
memory_report_objects(CoreState *state, Check *check, const Blame *blame)
{
    uint64_t shape = check->shape;
    Py_ssize_t length;
    PyObject **items = references(check, &length);
    if (items == NULL) {
        return -1;
    }
    int result;
    if (check->shape == shape) {
        result = check_report_items(state, check, blame, items, length);
    }
    else {
        result = check_note(state, check, DELTA_UNKNOWN, Py_NewRef(Py_None), blame);
        if (check_splice_items(check, 0, check->length, items, length) < 0) {
            result = -1;
        }
    }
    release(items, length);
    return result;
}
