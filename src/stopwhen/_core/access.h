/* The armed accesses, and what an instruction touches of them. */
#ifndef STOPWHEN_ACCESS_H
#define STOPWHEN_ACCESS_H

#include "codeinfo.h"

/* Same values in mechanisms/instructions.py. */
typedef enum {
    ACCESS_ITEM = 0,      /* key of a dict */
    ACCESS_CONTENT = 1,   /* any store into the owner */
    ACCESS_LIST_ITEM = 2, /* index, in key */
    ACCESS_SLOT = 3,      /* key: member descriptor */
    ACCESS_LOCAL = 4,     /* owner: FrameRef; key: (name, ranges of offsets in which that is another's) */
    ACCESS_CLOSURE = 5,   /* owner: cell object */
} AccessKind;

struct Access {
    PyObject *owner; /* Borrowed: the token's cell holds it. */
    AccessKind kind;
    int is_read;
    PyObject *key;   /* Owned; None where the kind needs none. */
    Py_ssize_t index; /* Of ACCESS_LIST_ITEM and ACCESS_LOCAL. */
    PyObject *token; /* Owned. */
};

/* What one instruction touches. */
typedef struct {
    CoreState *state;
    PyObject *stored; /* Owned lists of tokens, or NULL. */
    PyObject *read;
    int failed; /* An exception for the program is set: the user has interrupted it. */
} Touched;

/* access.c: the first access to `owner`, NULL when there is none; the others follow it. */
const Access *access_first(const CoreState *state, const PyObject *owner);
const Access *access_next(const CoreState *state, const Access *access);

/* touch.c: find what the instruction at `unit`, which comes next in `frame`, touches; 0 when this site is of no interest. */
int touch_find(Touched *touched, CodeInfo *info, InterpreterFrame *frame, int unit);

/* touch.c: note that the access of `token` is touched. Errors of memory are taken for nothing that is touched. */
void touch_token(Touched *touched, PyObject *token, int is_read);

/* callees.c: find what the call at `unit` touches; 0 when nothing that is called at this site can be of interest. */
int callees_touch(Touched *touched, CodeInfo *info, InterpreterFrame *frame, int unit);

/* callees.c: ask Python what an instruction touches. Steals `args`, which may be NULL after an error. */
void callees_judge(Touched *touched, PyObject *args);

#endif
