/* Instances of watched classes: what of them is watched, without keeping them alive. */
#ifndef STOPWHEN_INSTANCES_H
#define STOPWHEN_INSTANCES_H

#include "dictwatch.h"

/* One class scope of one watchpoint: all instances of `root` and of its subclasses. */
struct ClassScope {
    PyObject *token;    /* Owned. Its cell holds `root`. */
    PyObject *handle;   /* Borrowed: that cell, by which Python speaks of the scope. */
    PyTypeObject *root; /* Borrowed. */
    PyObject *names;    /* Owned dict: each attribute that is of interest -> what Python knows it by. */
    PyObject *few[4];   /* Borrowed from `names`, where these are no more: to be told by their addresses. */
    PyObject *whole;    /* Owned: what Python knows all attributes together by; NULL when they are of no interest. */
};

/* A class that stands under a watched one, or is one. */
struct HookedClass {
    PyTypeObject *type;    /* Borrowed; valid by I1 of classes.c. */
    allocfunc alloc;       /* The type's own. */
    freefunc free;         /* The type's own. */
    initproc init;         /* The type's own, where ours stands before it; else NULL. */
#if HAS_DICT_WATCHERS
    PyObject *subclasses;  /* Borrowed: the dict in which the type keeps them, which is watched; NULL for none. */
#else
    uint64_t subclasses_version; /* Of that dict, when all in it had been seen to. */
#endif
    ClassScope **scopes;   /* Borrowed: those whose root it is or stands under. */
    char *is_quiet;        /* For each of `scopes`: a new instance need not be told of. */
    Py_ssize_t scope_count;
    int is_plain;          /* There is no C code below it but that of `object`. */
};

/* A class that is not hooked and has our tp_free for a while (classes.c, I2). */
struct BorrowedFree {
    PyTypeObject *type; /* Borrowed; NULL for none. */
    freefunc free;      /* Its own. */
    BorrowedFree *next;
};

struct Instance {
    PyObject *object;       /* Borrowed; valid by I1 of instances.c. */
    const HookedClass *hooked; /* The entry of its class, or one without scopes; valid by I1 of instances.c. */
    uint64_t number;        /* Grows in the order in which they are taken on. */
    WatchedDict *watched;   /* NULL when it has no dict. */
    Instance *next_in_dict; /* Of those that share one. */
    Knowledge *knowledge;   /* parts.c: what each scope knows of it. */
#if !HAS_DICT_WATCHERS
    Part *attributes;       /* attributes.c: what is compared of its attributes. */
#endif
};

/* Something that has a say in one instance for one scope: an item of a dict, the content of one, or what a check compares. */
struct Part {
    Instance *instance;
    const ClassScope *scope;
    PyObject *known_by; /* Owned: what Python knows it by. */
    WatchedDict *watched; /* NULL for a check, and once the dict is gone. */
    PyObject *key; /* Owned; NULL for the content, and for a check. */
    PyObject *check; /* Owned; NULL for what is in a dict. */
    Part *next; /* Of the same instance and scope. */
    Part *next_in_dict;
};

/* classes.c */
HookedClass *classes_find(const CoreState *state, const PyTypeObject *type);
int classes_hook(CoreState *state, ClassScope *scope);
void classes_unhook(CoreState *state, ClassScope *scope);

int classes_has_scope(const HookedClass *hooked, const ClassScope *scope);

/* Hook `type` and all that stands under it for `scope`. -1 with an exception. */
int classes_hook_all(CoreState *state, PyTypeObject *type, ClassScope *scope);

/* The class is hooked no more: it dies, unless `is_alive`. */
void classes_unhook_one(CoreState *state, HookedClass *hooked, int is_alive);

/* Do what had to wait until the running instruction was done: for a new object, a new class. -1 with an exception. */
int classes_catch_up(CoreState *state);

#if !HAS_DICT_WATCHERS
/* The same, but let nobody handle what it notes, which is laid to `blame`. */
void classes_note_new(CoreState *state, const Blame *blame);
#endif

/* True when classes_catch_up() has something to do. */
static inline int
classes_await(const CoreState *state)
{
    return state->newborn != NULL || state->has_new_class;
}

/* subclasses.c */
/* Learn of new subclasses of any class, and of their end, from now on and until the end of that. */
void subclasses_begin(CoreState *state);
void subclasses_end(CoreState *state);

/* Learn of those of `hooked`, which has none that are not hooked. -1 with an exception. */
int subclasses_watch(CoreState *state, HookedClass *hooked);
void subclasses_watch_no_more(CoreState *state, const HookedClass *hooked);

/* Hook those of hooked classes of which nobody has told. */
void subclasses_find(CoreState *state);

#if HAS_DICT_WATCHERS
void subclasses_on_event(CoreState *state, HookedClass *hooked, PyDict_WatchEvent event, PyObject *key,
                         PyObject *value);
void subclasses_lose_dict(CoreState *state, WatchedDict *watched);
#endif

/* instances.c */
/* An instance, which is new or else has got its class just now: take it on and tell those scopes of it that did not know
 * it by `known`, its class before, NULL for none. -1 with an exception for the program. */
int instances_born(CoreState *state, HookedClass *hooked, PyObject *object, int is_new, PyTypeObject *known);

/* The same, but let nobody handle what is noted, which is laid to `blame`, NULL for the running instruction. Return whether
 * something is. */
int instances_note_born(CoreState *state, HookedClass *hooked, PyObject *object, int is_new, PyTypeObject *known,
                        const Blame *blame);

/* Return the entry of `object`, which it gets if it has none and is of a hooked class; NULL with an exception set. */
Instance *instances_adopt(CoreState *state, PyObject *object);

/* The object is of no interest any more, or dies. */
void instances_forget(CoreState *state, PyObject *object);

/* Tell of those whose classes are hooked, but which are not watched yet. */
int instances_find_born(CoreState *state);

/* Forget those whose classes are hooked no more, and of the others what scopes know that they are out of. */
void instances_sweep(CoreState *state);

/* The object may have another class, which is hooked, or another dict now. `before` is the layout that it had, borrowed. */
void instances_note_layout(CoreState *state, PyObject *object, PyObject *before);

/* The class has other bases now: have all its instances looked at. */
void instances_note_bases(CoreState *state, PyTypeObject *type);

/* The dict is gone, or is taken apart by the collector: its instances are past being watched. */
void instances_lose_dict(CoreState *state, WatchedDict *watched);

/* Visit what the parts of the instance with this dict keep. */
int instances_traverse(CoreState *state, PyObject *dict, visitproc visit, void *arg);

int parts_note(CoreState *state, const Part *part, PyObject *known_by, PyObject *owner, DeltaKind kind, PyObject *data,
               const Blame *blame);

/* There was no memory to learn of some instance. */
void instances_miss(CoreState *state);

/* Note what happened to something of `instance`, which Python knows by `known_by`; `owner` holds it. Steals `data`. */
int instances_note_one(CoreState *state, const ClassScope *scope, const Instance *instance, PyObject *known_by,
                       PyObject *owner, DeltaKind kind, PyObject *data, const Blame *blame);

/* Have what is noted handled as soon as the blamed frame has finished its instruction. */
void instances_stop_after(CoreState *state, const Blame *blame);

/* Return the scope that Python speaks of by `handle`; NULL when it is not armed. */
ClassScope *instances_scope(const CoreState *state, const PyObject *handle);

/* attributes.c */
#if HAS_DICT_WATCHERS
int attributes_care(const WatchedDict *watched, PyDict_WatchEvent event, PyObject *key);
void attributes_note(CoreState *state, WatchedDict *watched, PyDict_WatchEvent event, PyObject *key,
                     PyObject *new_value, const Blame *blame);

/* Note a store of `new_value`, NULL for none, under `key` of a dict; nothing when that changes nothing. */
void attributes_note_item(CoreState *state, const ClassScope *scope, const Instance *instance, PyObject *known_by,
                          WatchedDict *watched, PyObject *key, PyObject *new_value, const Blame *blame);

/* The same for an event of a dict, as a change of its content. */
void attributes_note_content(CoreState *state, const ClassScope *scope, const Instance *instance, PyObject *known_by,
                             WatchedDict *watched, PyDict_WatchEvent event, PyObject *key, PyObject *new_value,
                             const Blame *blame);

/* True for events that are about all keys. */
static inline int
is_wholesale(PyDict_WatchEvent event)
{
    return event == PyDict_EVENT_CLEARED || event == PyDict_EVENT_CLONED;
}
#else
/* Compare the attributes of the instance for each scope that it is under, from now on; where that is done already, nothing.
 * -1 with an exception. */
int attributes_compare(CoreState *state, Instance *instance);

/* Take out of the list what is compared for scopes that the instance is not under, or `all`; parts_drop() is for that. */
Part *attributes_take(Instance *instance, int all);

/* Let the list of dicts be empty memory. */
void attributes_clear(CoreState *state);
#endif

/* parts.c */
/* Return a part that `check` compares, from now on; NULL with an exception. */
Part *parts_make(CoreState *state, Instance *instance, const ClassScope *scope, PyObject *known_by, PyObject *check);

/* Free a list of parts, of which none is compared any more before the first is gone. May run code of the user's. */
void parts_drop(CoreState *state, Part *parts);
void parts_free(CoreState *state, Knowledge *knowledge);
/* Let no part in it be compared any more. */
void parts_end(const Knowledge *knowledge);
/* Forget what scopes know of the instance that its class is not under; true when one knew something. */
int parts_leave_others(CoreState *state, Instance *instance);
int parts_traverse(const Instance *instance, visitproc visit, void *arg);
#if HAS_DICT_WATCHERS
void parts_lose_dict(WatchedDict *watched);
void parts_note_event(CoreState *state, WatchedDict *watched, PyDict_WatchEvent event, PyObject *key,
                      PyObject *new_value, const Blame *blame);
#endif

PyObject *instances_arm(PyObject *module, PyObject *args);
PyObject *instances_disarm(PyObject *module, PyObject *handle);
PyObject *instances_all(PyObject *module, PyObject *handle);
PyObject *instances_found(PyObject *module, PyObject *handle);
PyObject *instances_set_parts(PyObject *module, PyObject *args);
PyObject *instances_memo(PyObject *module, PyObject *args);
PyObject *instances_set_quiet(PyObject *module, PyObject *args);
void instances_clear(CoreState *state);

#endif
