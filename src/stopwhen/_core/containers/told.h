/* Containers that tell of their changes: which are watched, and what is done when one tells. */
#ifndef STOPWHEN_TOLD_H
#define STOPWHEN_TOLD_H

#include "content.h"

/* A call of a C function that may change a watched container, from before it begins until it has ended. */
typedef struct Operation Operation;
struct Operation {
    PyObject *owner; /* Borrowed: the caller of the function holds it. */
    Blame blame;     /* Who calls; its frame is owned. */
    unsigned long switches; /* How often threads had taken turns when it began. */
    int began_narrow; /* It was so when it began: the rest of the list has not been compared then. */
    int is_narrow;    /* It leaves the first `start` and the last `tail` items of a long list as they are. */
    Py_ssize_t start;
    Py_ssize_t tail;
    Operation *next;
    Operation *previous;
};

#define TOLD_MARKS (1 << 22)

/* Bits, by address: containers that may be watched. Most others are known from them by one look. Static, as the functions of
 * a type are: these serve all interpreters, and read this without a state. */
extern unsigned char told_marks[TOLD_MARKS / 8];

/* Calls of such functions until told_begin() is asked all the same, to take a look. */
extern int told_patience;

static inline size_t
told_mark(const PyObject *object)
{
    return ((size_t)object >> 4) % TOLD_MARKS;
}

static inline Py_ALWAYS_INLINE int
told_may_be_watched(const PyObject *object)
{
    size_t mark = told_mark(object);
    return (told_marks[mark / 8] >> mark % 8 & 1) | (--told_patience < 0);
}

/* True for a kind of check that a container of the owner's type can tell of. */
int told_can_tell(const Check *check);

/* Have `check`, whose snapshot has been taken, told of changes of its owner; -1 with an exception set. */
int told_add(CoreState *state, Check *check);

/* Have it told no more. */
void told_remove(CoreState *state, Check *check);

/* Right before a C function that may change `owner`: 0 if it is not watched; else told_end() is to be called. */
int told_begin(Operation *operation, PyObject *owner);

/* The same for a function that leaves the first `start` and the last `tail` items of a list as they are. */
int told_begin_narrow(Operation *operation, PyObject *owner, Py_ssize_t start, Py_ssize_t tail);

/* Right after it: note what it has changed. A pending exception stays. */
void told_end(Operation *operation);

/* In a forked child: the calls of other threads will never end. */
void told_forget_threads(void);

/* Compare all: what differs has been changed by C code that does not tell. With `is_due` always, else now and then. */
void told_look(CoreState *state, int is_due);

/* look_at_told(): the same, now. */
PyObject *told_look_now(PyObject *module, PyObject *unused);

/* interpose.c: stand before the functions that change containers of the type of `owner`, and step aside; -1 with an
 * exception set. */
int interpose_begin(PyObject *owner);
void interpose_end(PyObject *owner);

/* True for a container whose type has functions that we can stand before. */
int interpose_has_type(PyObject *owner);

/* Replace one function by another in the methods by which Python code reaches the slots of `type`. */
void interpose_in_wrappers(PyTypeObject *type, void *before, void *after);

/* Find the types and functions; -1 with an exception set. */
int interpose_open(void);

/* slots.c: the same for stores by a member descriptor, of whatever object. */
int slots_begin(CoreState *state, const PyObject *descriptor);
void slots_end(CoreState *state, const PyObject *descriptor);

/* True for a member descriptor that `__slots__` has made: nobody stores but by asking it. */
int slots_can_tell(const PyObject *descriptor);

/* slot_tells(descriptor) */
PyObject *slots_tell(PyObject *module, PyObject *descriptor);

#endif
