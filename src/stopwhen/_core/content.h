/* A check: the last seen state of one cell, and how to compare it with the present one. */
#ifndef STOPWHEN_CONTENT_H
#define STOPWHEN_CONTENT_H

#include "state.h"

/* Same values in mechanisms/native.py. */
typedef enum {
    CHECK_LIST = 0,      /* items of a list */
    CHECK_SET = 1,       /* members of a set */
    CHECK_DICT = 2,      /* keys, values and order of a dict */
    CHECK_DICT_ITEM = 3, /* extra: key */
    CHECK_BYTES = 4,     /* bytes of a bytearray */
    CHECK_MEMORY = 5,    /* memory of the owner as extra, a type in C, gives it out: array, ctypes, mmap */
    CHECK_SEQUENCE = 6,  /* what the iterator of extra, a builtin type, finds in the owner: deque */
    CHECK_LIST_ITEM = 7, /* extra: index */
    CHECK_SLOT = 8,      /* extra: member descriptor */
    CHECK_LOCAL = 9,     /* owner: FrameRef; extra: (name, ranges in which it is another's) */
    CHECK_CLOSURE = 10,  /* owner: cell object */
    CHECK_CALL = 11,     /* owner: callable that tells whether it changed; extra: the short way */
    CHECK_FRAME = 12,    /* owner: FrameRef; nothing but its end is noted */
    CHECK_RESULT = 13,   /* bytes or str that extra, a method in C, returns for the owner: BytesIO.getvalue */
    CHECK_OBJECTS = 14,  /* as CHECK_MEMORY, which holds references to objects: an array of numpy */
    CHECK_LAYOUT = 15,   /* class, bases and attribute dict of any object */
    CHECK_LINKS = 16,    /* extra: links (links.h), into the owner and what it is made of */
} CheckKind;

struct Check {
    PyObject_HEAD
    CheckKind kind;
    int armed;
    int suspended;
    int is_told;          /* Its owner reports changes (containers/told.c): it is not compared after instructions. */
    int began_beside;     /* Such a check was armed while another thread was calling something with the owner. */
    CoreState *state;     /* Borrowed; outlives every armed check, which session.close() takes off. */
    PyObject *owner;      /* Owned, unless `borrows_owner`. */
    int borrows_owner;    /* It is the instance that the check is a part of, which outlives it. */
    Part *part;           /* Borrowed: instances.c; NULL for none. */
    PyObject *extra;      /* Owned; None where the kind needs nothing. */
    PyObject *token;      /* Owned. What records of this check carry. */
    Py_ssize_t index;     /* Of CHECK_LIST_ITEM and CHECK_LOCAL. */
    PyObject *seen;       /* Owned; NULL for absent. Kinds that hold one object. */
    PyObject **items;     /* Owned references, NULLs allowed. Kinds that hold many. */
    Py_ssize_t length;    /* Of items. */
    Py_ssize_t capacity;  /* Of items. */
    void *raw;            /* Owned memory: bytes, a fingerprint of too many, or a set's table as it was. */
    Py_ssize_t raw_length; /* In bytes. */
    uint64_t version;     /* 3.11 only: version of the dict when last compared. */
    Py_ssize_t size;      /* Of memory, in bytes. */
    uint64_t shape;       /* Of memory. */
    int found;            /* CHECK_CALL has said that it changed, and that is not noted yet. */
    Py_ssize_t calls;     /* Of CHECK_CALL, by the short way, since the last whole evaluation. */
    /* large.c */
    Py_ssize_t cost;      /* Of comparing it whole, in bytes or their like; 0 where there is not much to compare. */
    Py_ssize_t looks;     /* Since it was last compared whole. */
    PyCodeObject *place;  /* Owned: where that was; NULL when it is not known. */
    int place_offset;
    uint64_t reached;     /* Number of the look before an instruction that takes the owner; 0 for none. */
    int is_counted;       /* In state->large_count. */
    const void *memory;   /* Never followed: a set's table as it was, or where memory begins, */
    Py_ssize_t fill;      /* and how much of the table is used, or how far the memory reaches, in bytes. */
    /* crowd.c */
    int in_crowd;
    int is_recent;        /* It is in state->crowd_recent. */
    uint64_t compared;    /* Number of the look in which it had its turn, at `place`. */
    Check *next_of_owner;
    Py_ssize_t place_in_crowd;
#if !HAS_DICT_WATCHERS
    int is_young;         /* It is in state->crowd_young. */
    Py_ssize_t place_in_young;
#endif
};

/* From which cost on a content is compared whole only now and then. */
#define LARGE 8192

/* True for a check that stands in the crowd. */
static inline int
check_is_of_crowd(const Check *check)
{
    return check->in_crowd;
}

/* True for a check that stands with its frame's, not among those that any code may concern. */
static inline int
check_is_of_frame(const Check *check)
{
    return check->kind == CHECK_LOCAL || check->kind == CHECK_FRAME;
}

/* True for a check that stands in state->shared (shared.c). */
static inline int
check_is_shared(const Check *check)
{
    return HAS_MONITORING && check->kind == CHECK_CLOSURE;
}

/* Return a check, not armed, of what `dict` holds under `key`, of all its content for NULL; NULL with an exception set. */
PyObject *check_of_dict(CoreState *state, PyObject *dict, PyObject *key, PyObject *token);

/* Take the present state as last seen and compare with it from now on; -1 with an exception set. */
int check_begin(PyObject *check);

/* Compare no more. Runs no code of the user's. */
void check_end(PyObject *check);

PyObject *content_dict_item(PyObject *dict, PyObject *key);

/* Return the object that the cell of a check that holds one holds now, new; NULL for none, never with an exception. */
PyObject *content_object(Check *check);

/* Return the keys of an OrderedDict in its own order, which its version does not tell of, as a new list.
 *
 * NULL without an exception for any other dict, and where walking it would run a `__hash__` of the user's; NULL with one
 * for want of memory. */
PyObject *content_ordered_keys(PyObject *dict);

/* In bytes. */
static inline Py_ssize_t
content_table_size(PyObject *set)
{
    return (((PySetObject *)set)->mask + 1) * (Py_ssize_t)sizeof(setentry);
}

static inline int
content_is_member(const setentry *entry)
{
    return entry->key != NULL && entry->hash != -1; /* The mark of a deleted entry has the hash -1, which no key has. */
}

/* The dict is as it was when last compared. */
static inline void
content_keep_version(Check *check)
{
#if HAS_DICT_VERSIONS
    check->version = ((PyDictObject *)check->owner)->ma_version_tag;
#else
    (void)check;
#endif
}

#if HAS_DICT_VERSIONS
/* recheck.c: True when checks on items of dicts need not be compared. */
int recheck_items_are_still(CoreState *state);

/* One of them differs, or may: the next time, all are to be compared. */
static inline void
recheck_forget_items(CoreState *state)
{
    state->items_compared.version = 0;
}
#else
static inline int
recheck_items_are_still(CoreState *Py_UNUSED(state))
{
    return 0;
}

static inline void
recheck_forget_items(CoreState *Py_UNUSED(state))
{
}
#endif

/* True when a check is of an item of a dict, which has not been stored to since it was last compared: the short way. */
static inline int
check_is_surely_same(const Check *check)
{
#if HAS_DICT_VERSIONS
    return check->kind == CHECK_DICT_ITEM && ((PyDictObject *)check->owner)->ma_version_tag == check->version;
#else
    (void)check;
    return 0;
#endif
}

/* Keep what the cell holds now; -1 with an exception set. */
int check_take_snapshot(Check *check);

/* Take `check` out of a list that has it, whose others keep their order. */
static inline void
check_take_out(Check **list, Py_ssize_t *count, const Check *check)
{
    for (Py_ssize_t i = 0; i < *count; i++) {
        if (list[i] == check) {
            --*count;
            memmove(&list[i], &list[i + 1], (size_t)(*count - i) * sizeof(Check *));
            return;
        }
    }
    assert(!"the list has it");
}

int check_raw_differs(Check *check, const void *now, Py_ssize_t length);
int check_keep_raw(Check *check, const void *bytes, Py_ssize_t length);
int check_splice_items(Check *check, Py_ssize_t start, Py_ssize_t removed, PyObject *const *inserted, Py_ssize_t count);
int check_report_items(CoreState *state, Check *check, const Blame *blame, PyObject *const *now, Py_ssize_t length);

/* The same, where the first `start` and the last `tail` items are known to be as they were. */
int check_report_items_within(CoreState *state, Check *check, const Blame *blame, PyObject *const *now,
                              Py_ssize_t length, Py_ssize_t start, Py_ssize_t tail);

int check_call_is_surely_same(Check *check);

static inline int
check_list_differs(const Check *check)
{
    Py_ssize_t length = PyList_GET_SIZE(check->owner);
    PyObject **items = ((PyListObject *)check->owner)->ob_item;
    if (length != check->length) {
        return 1;
    }
    if (length > 16) {
        return memcmp(items, check->items, (size_t)length * sizeof(PyObject *)) != 0;
    }
    uintptr_t differences = 0; /* Of a short one all are compared, as a call of memcmp costs more than that. */
    for (Py_ssize_t i = 0; i < length; i++) {
        differences |= (uintptr_t)items[i] ^ (uintptr_t)check->items[i];
    }
    return differences != 0;
}

#endif
