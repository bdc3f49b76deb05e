/* Classes whose instances are watched, with all their subclasses: learns of new instances where their memory is had, of
 * dead ones where it is given back. Of new subclasses, and of their end, subclasses.c tells.
 *
 * I1. `classes` has an entry for each class that is or stands under the root of a ClassScope, as long as it lives.
 * I2. While a class is hooked, its tp_alloc and tp_free are ours. The interpreter compares tp_free where a program sets
 *     `__class__` or `__bases__`: meanwhile the other classes have ours, too, where theirs is the same. tp_dealloc and
 *     tp_traverse, which it compares everywhere, are left alone.
 * I3. What the interpreter knows of a type's slots when it specialises code is told to be outdated with each change.
 * I4. What the parts of an instance keep is, to the eyes of the collector, kept by the instance's dict.
 * I5. Where C code below a class, or up to 3.12 that of `object`, has more to do once the memory is had, a new object can be
 *     watched only when its tp_new is done with it. It is `newborn` until then: until its tp_init, the caller's next
 *     instruction, a look at its `__dict__`, or the next new object, whichever comes first.
 * I6. C code below a class may have memory without tp_alloc: objects of such a class are met in tp_init.
 */
#include "codeinfo.h"
#include "containers/told.h"
#include "instances.h"
#include "layout.h"

static void take_strays(CoreState *state);
static PyObject *on_alloc(PyTypeObject *type, Py_ssize_t count);
static void on_free(void *object);
static int on_init(PyObject *object, PyObject *args, PyObject *keywords);

HookedClass *
classes_find(const CoreState *state, const PyTypeObject *type)
{
    return table_find(&state->classes, type);
}

/* Return the entry of `type` or, for a type made by C code that inherits the slots of a base, of that base. */
static HookedClass *
find_for_slots(const CoreState *state, const PyTypeObject *type)
{
    HookedClass *hooked = NULL;
    while (hooked == NULL && type != NULL) {
        hooked = classes_find(state, type);
        type = type->tp_base;
    }
    assert(hooked != NULL);
    return hooked;
}

/* ---- new objects ---- */

/* Return the object that has been made without anybody being told, and its class, if that is still hooked. It is told of. */
static PyObject *
take_newborn(CoreState *state, HookedClass **hooked)
{
    PyObject *object = state->newborn;
    state->newborn = NULL;
    *hooked = object == NULL ? NULL : classes_find(state, Py_TYPE(object));
    return object;
}

/* If an object has been made of which nobody has been told, tell now: it is ready. -1 with an exception. */
static int
tell_of_newborn(CoreState *state)
{
    HookedClass *hooked;
    PyObject *object = take_newborn(state, &hooked);
    return hooked == NULL ? 0 : instances_born(state, hooked, object, 1, NULL);
}

/* A class statement, or an assignment to `__init__`, sets tp_init anew: see to it with each object. */
static void
stand_before_init(HookedClass *hooked)
{
    PyTypeObject *type = hooked->type;
    /* Where it is that of `object`, its tp_new looks for it. */
    int is_looked_for = hooked->is_plain && type->tp_init == PyBaseObject_Type.tp_init;
    if (type->tp_init != on_init && type->tp_init != NULL && !is_looked_for) {
        hooked->init = type->tp_init;
        type->tp_init = on_init;
    }
}

#if HAS_DICT_WATCHERS
int
classes_catch_up(CoreState *state)
{
    if (state->has_new_class) {
        state->has_new_class = 0;
        HookedClass *hooked;
        for (Py_ssize_t i = 0; (hooked = table_next(&state->classes, &i)) != NULL;) {
            if (!hooked->is_plain) {
                stand_before_init(hooked); /* I6 */
            }
        }
    }
    return tell_of_newborn(state);
}
#else
void
classes_note_new(CoreState *state, const Blame *blame)
{
    HookedClass *hooked;
    PyObject *object = take_newborn(state, &hooked);
    if (hooked != NULL) {
        (void)instances_note_born(state, hooked, object, 1, NULL, blame);
    }
    if (state->has_new_class) {
        subclasses_find(state);
    }
}
#endif

/* True when the running frame's instruction calls a class, which calls tp_init next. */
static int
calls_a_class(CoreState *state)
{
    int offset, first, end;
    PyCodeObject *code = compat_place(&offset); /* Borrowed. */
    CodeInfo *info = code == NULL ? NULL : code_info(state, code);
    if (info == NULL || !depths_operands(info, offset / 2, &first, &end) || !(info->effect[offset / 2] & EFFECT_CALL)) {
        PyErr_Clear();
        return 0;
    }
    for (int slot = first; slot < end && slot < first + 2; slot++) {
        PyObject *callable = compat_stack_slot(slot);
        if (callable != NULL) {
            return PyType_Check(callable);
        }
    }
    return 0;
}

/* Return the tp_init that `type` would have without us. */
static initproc
own_init(const CoreState *state, const PyTypeObject *type)
{
    for (; type->tp_init == on_init; type = type->tp_base) {
        const HookedClass *hooked = classes_find(state, type);
        if (hooked != NULL && hooked->init != NULL) {
            return hooked->init;
        }
    }
    return type->tp_init;
}

/* The object is ready: tell of it, if nobody has. */
static int
meet(CoreState *state, PyObject *object)
{
    if (state->newborn == object) {
        return tell_of_newborn(state);
    }
    HookedClass *hooked = classes_find(state, Py_TYPE(object));
    if (hooked == NULL || hooked->is_plain || table_find(&state->instances, object) != NULL) {
        return 0;
    }
    return instances_born(state, hooked, object, 1, NULL); /* I6 */
}

static int
on_init(PyObject *object, PyObject *args, PyObject *keywords)
{
    CoreState *state = state_for_callback();
    PyTypeObject *type = Py_TYPE(object);
    initproc own = own_init(state, type);
    if (meet(state, object) < 0) {
        return -1;
    }
    if (own != PyBaseObject_Type.tp_init) {
        Operation operation; /* Where it is that of a container, its type does not tell. */
        int is_told = told_begin(&operation, object);
        int result = own(object, args, keywords);
        if (is_told) {
            told_end(&operation);
        }
        return result;
    }
    type->tp_init = own; /* It looks for itself, too; and runs no code of the user's. */
    int result = own(object, args, keywords);
    type->tp_init = on_init;
    return result;
}

static PyObject *
on_alloc(PyTypeObject *type, Py_ssize_t count)
{
    CoreState *state = state_for_callback();
    HookedClass *hooked = find_for_slots(state, type);
    PyObject *object = hooked->alloc(type, count);
    if (object != NULL && hooked->type != type) {
        subclasses_find(state);
        hooked = find_for_slots(state, type);
    }
    if (object == NULL || hooked->type != type) {
        return object;
    }
    int result;
    if (ATTRIBUTES_COME_LATER || !hooked->is_plain) {
        do {
            result = tell_of_newborn(state); /* That may run an action, which makes another one. */
        } while (result == 0 && state->newborn != NULL);
        state->newborn = object; /* I5 */
        stand_before_init(hooked);
        if (type->tp_init != on_init || !calls_a_class(state)) {
            Blame blame;
            blame_current(&blame);
            instances_stop_after(state, &blame);
            blame_release(&blame);
        }
    }
    else {
        result = instances_born(state, hooked, object, 1, NULL);
    }
    if (result < 0) {
        Py_CLEAR(object);
    }
    return object;
}

/* The object dies. */
static void
lose(CoreState *state, PyObject *object)
{
    if (state->newborn == object) {
        state->newborn = NULL;
    }
    instances_forget(state, object);
}

/* Return the tp_free that `type` would have without us. */
static freefunc
own_free(const CoreState *state, const PyTypeObject *type)
{
    if (type->tp_free != on_free) {
        return type->tp_free;
    }
    for (const BorrowedFree *one = state->borrowed_free; one != NULL; one = one->next) {
        if (one->type == type) {
            return one->free;
        }
    }
    return find_for_slots(state, type)->free;
}

static void
on_free(void *object)
{
    CoreState *state = state_for_callback();
    freefunc own = own_free(state, Py_TYPE((PyObject *)object));
    lose(state, object);
    own(object);
}

/* ---- setters of the interpreter, which ours stand before while there are hooked classes ---- */

/* Let a class that is not hooked have our tp_free for a while, if its own is `own` (I2). The caller holds the class. */
static void
borrow_free(CoreState *state, BorrowedFree *entry, PyTypeObject *type, freefunc own)
{
    entry->type = NULL;
    if (type->tp_free == own && PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)) {
        *entry = (BorrowedFree){type, own, state->borrowed_free};
        state->borrowed_free = entry;
        type->tp_free = on_free;
    }
}

/* End what borrow_free() began. */
static void
give_back_free(CoreState *state, BorrowedFree *entry)
{
    if (entry->type != NULL) {
        BorrowedFree **link = &state->borrowed_free;
        while (*link != entry) { /* Other threads may have come in between. */
            link = &(*link)->next;
        }
        *link = entry->next;
        if (classes_find(state, entry->type) == NULL) { /* It may have been hooked meanwhile. */
            entry->type->tp_free = entry->free;
        }
    }
}

/* Return the layout of an instance that is watched, new; NULL without an exception for other objects. */
static PyObject *
layout_before(CoreState *state, PyObject *object)
{
    PyObject *layout = table_find(&state->instances, object) == NULL ? NULL : layout_of(object);
    if (layout == NULL && PyErr_Occurred()) {
        PyErr_Clear();
        instances_miss(state);
    }
    return layout;
}

/* object.__class__ = value */
static int
on_set_class(PyObject *object, PyObject *value, void *closure)
{
    CoreState *state = state_for_callback();
    if (!is_in_main_interpreter() || value == NULL || !PyType_Check(value)) {
        return state->set_class(object, value, closure);
    }
    PyTypeObject *before = (PyTypeObject *)Py_NewRef(Py_TYPE(object));
    PyTypeObject *now = (PyTypeObject *)Py_NewRef(value);
    HookedClass *hooked_before = classes_find(state, before);
    HookedClass *hooked = classes_find(state, now);
    BorrowedFree entry = {.type = NULL};
    if (hooked != NULL && hooked_before == NULL) {
        borrow_free(state, &entry, before, hooked->free);
    }
    else if (hooked == NULL && hooked_before != NULL) {
        borrow_free(state, &entry, now, hooked_before->free);
    }
    PyObject *layout = layout_before(state, object);
    int result = state->set_class(object, value, closure);
    give_back_free(state, &entry);
    if (result == 0 && Py_TYPE(object) != before) {
        hooked = classes_find(state, Py_TYPE(object));
        if (hooked == NULL || layout == NULL) {
            instances_forget(state, object);
        }
        else {
            instances_note_layout(state, object, layout);
        }
        result = hooked == NULL ? 0 : instances_born(state, hooked, object, 0, layout == NULL ? NULL : before);
    }
    Py_XDECREF(layout);
    Py_DECREF(before);
    Py_DECREF(now);
    return result;
}

/* Let the classes in `bases`, or that which stands above `type`, have our tp_free where another one of them has it. */
static void
borrow_free_of_bases(CoreState *state, BorrowedFree *entries, PyTypeObject *type, PyObject *bases)
{
    Py_ssize_t count = PyTuple_GET_SIZE(bases);
    const HookedClass *hooked = classes_find(state, type->tp_base);
    for (Py_ssize_t i = 0; i < count && hooked == NULL; i++) {
        hooked = classes_find(state, (PyTypeObject *)PyTuple_GET_ITEM(bases, i));
    }
    for (Py_ssize_t i = 0; i <= count; i++) {
        PyObject *base = i < count ? PyTuple_GET_ITEM(bases, i) : (PyObject *)type->tp_base;
        entries[i].type = NULL;
        if (hooked != NULL && PyType_Check(base)) {
            borrow_free(state, &entries[i], (PyTypeObject *)base, hooked->free);
        }
    }
}

/* type.__bases__ = value */
static int
on_set_bases(PyObject *type, PyObject *value, void *closure)
{
    CoreState *state = state_for_callback();
    if (!is_in_main_interpreter() || value == NULL || !PyTuple_Check(value) ||
        ((PyTypeObject *)type)->tp_base == NULL) {
        return state->set_bases(type, value, closure);
    }
    BorrowedFree *entries = PyMem_Calloc((size_t)PyTuple_GET_SIZE(value) + 1, sizeof(BorrowedFree));
    if (entries == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    PyObject *bases = Py_NewRef(value);
    PyObject *base = Py_NewRef(((PyTypeObject *)type)->tp_base);
    borrow_free_of_bases(state, entries, (PyTypeObject *)type, bases);
    int result = state->set_bases(type, value, closure);
    for (Py_ssize_t i = PyTuple_GET_SIZE(bases) + 1; i-- > 0;) {
        give_back_free(state, &entries[i]);
    }
    PyMem_Free(entries);
    Py_DECREF(base);
    Py_DECREF(bases);
    PendingError error = take_pending_error();
    subclasses_find(state);
    take_strays(state);
    instances_sweep(state);
    instances_note_bases(state, (PyTypeObject *)type);
    if (instances_find_born(state) < 0) {
        PyErr_Clear();
        instances_miss(state);
    }
    put_back_pending_error(error);
    return result;
}

static int
set_dict(setter own, PyObject *object, PyObject *value, void *closure)
{
    CoreState *state = state_for_callback();
    PyObject *before = is_in_main_interpreter() ? layout_before(state, object) : NULL;
    int result = own(object, value, closure);
    if (before != NULL && result == 0) {
        instances_note_layout(state, object, before);
    }
    Py_XDECREF(before);
    return result;
}

/* object.__dict__ = value, or its deletion, where a class statement made the dict */
static int
on_set_dict(PyObject *object, PyObject *value, void *closure)
{
    return set_dict(state_for_callback()->set_dict, object, value, closure);
}

static PyObject *
on_get_dict(PyObject *object, void *closure)
{
    CoreState *state = state_for_callback();
    if (is_in_main_interpreter() && state->newborn == object && tell_of_newborn(state) < 0) { /* I5 */
        return NULL;
    }
    return state->get_dict(object, closure);
}

/* The same where C code did, as for exceptions. */
static int
on_set_generic_dict(PyObject *object, PyObject *value, void *closure)
{
    return set_dict(PyObject_GenericSetDict, object, value, closure);
}

/* Return what defines the `__dict__` that `type` itself, none of its bases, gives its instances; NULL for none. */
static PyGetSetDef *
dict_getset(CoreState *state, PyTypeObject *type)
{
    PyGetSetDef *found = compat_find_getset(type->tp_getset, "__dict__");
    if (found != NULL || type->tp_dealloc != state->python_dealloc) {
        return found;
    }
    /* From 3.15 on, all class statements share one. */
    PyObject *descriptor = PyDict_GetItemString(type->tp_dict, "__dict__"); /* Borrowed. */
    return descriptor != NULL && Py_IS_TYPE(descriptor, &PyGetSetDescr_Type) ? layout_own_getset(state, descriptor)
                                                                             : NULL;
}

/* Let ours stand before the setters of `__dict__` of `type` and its bases. */
static void
stand_before_dict(CoreState *state, PyTypeObject *type)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(type->tp_mro); i++) {
        PyTypeObject *base = (PyTypeObject *)PyTuple_GET_ITEM(type->tp_mro, i);
        PyGetSetDef *getset = dict_getset(state, base);
        if (getset == NULL || state->dict_getset_count == Py_ARRAY_LENGTH(state->dict_getsets)) {
            continue;
        }
        if (getset->set == PyObject_GenericSetDict) {
            getset->set = on_set_generic_dict;
        }
        else if (base->tp_dealloc == state->python_dealloc && getset->set != on_set_dict) {
            state->set_dict = getset->set;
            getset->set = on_set_dict;
            state->get_dict = getset->get;
            getset->get = on_get_dict;
        }
        else {
            continue;
        }
        state->dict_getsets[state->dict_getset_count++] = getset;
    }
}

static int on_dict_traverse(PyObject *dict, visitproc visit, void *arg);
static int on_dict_clear(PyObject *dict);

#if LISTS_FREE_THEMSELVES
static void
on_list_dealloc(PyObject *list)
{
    CoreState *state = state_for_callback();
    destructor own = state->list_dealloc;
    if (!PyList_CheckExact(list) && is_in_main_interpreter()) {
        lose(state, list);
    }
    own(list);
}
#endif

static void
stand_before_all(CoreState *state)
{
#if LISTS_FREE_THEMSELVES
    state->list_dealloc = PyList_Type.tp_dealloc;
    PyList_Type.tp_dealloc = on_list_dealloc;
#endif
    PyGetSetDef *class_ = compat_find_getset(PyBaseObject_Type.tp_getset, "__class__");
    PyGetSetDef *bases = compat_find_getset(PyType_Type.tp_getset, "__bases__");
    state->set_class = class_->set;
    class_->set = on_set_class;
    state->set_bases = bases->set;
    bases->set = on_set_bases;
    state->dict_traverse = PyDict_Type.tp_traverse;
    PyDict_Type.tp_traverse = on_dict_traverse;
    state->dict_clear = PyDict_Type.tp_clear;
    PyDict_Type.tp_clear = on_dict_clear;
    subclasses_begin(state);
}

static void
step_aside(CoreState *state)
{
    subclasses_end(state);
#if LISTS_FREE_THEMSELVES
    PyList_Type.tp_dealloc = state->list_dealloc;
#endif
    compat_find_getset(PyBaseObject_Type.tp_getset, "__class__")->set = state->set_class;
    compat_find_getset(PyType_Type.tp_getset, "__bases__")->set = state->set_bases;
    PyDict_Type.tp_traverse = state->dict_traverse;
    PyDict_Type.tp_clear = state->dict_clear;
    while (state->dict_getset_count > 0) {
        PyGetSetDef *getset = state->dict_getsets[--state->dict_getset_count];
        if (getset->set == on_set_dict) {
            getset->get = state->get_dict;
        }
        getset->set = getset->set == on_set_dict ? state->set_dict : PyObject_GenericSetDict;
    }
}

/* What the parts of an instance keep, its dict is taken to keep, so that a cycle through both is found (I4). */
static int
on_dict_traverse(PyObject *dict, visitproc visit, void *arg)
{
    CoreState *state = state_for_callback();
    int result = is_in_main_interpreter() ? instances_traverse(state, dict, visit, arg) : 0;
    return result != 0 ? result : state->dict_traverse(dict, visit, arg);
}

/* The collector takes a dict apart that nobody reaches: that is no change of what was in it. */
static int
on_dict_clear(PyObject *dict)
{
    CoreState *state = state_for_callback();
    WatchedDict *watched = is_in_main_interpreter() ? dictwatch_find(state, dict) : NULL;
    if (watched != NULL) {
        instances_lose_dict(state, watched);
#if HAS_DICT_WATCHERS
        if (dictwatch_drop_if_unused(state, watched) < 0) {
            PyErr_Clear();
        }
#endif
    }
    return state->dict_clear(dict);
}

/* ---- hooking ---- */

int
classes_has_scope(const HookedClass *hooked, const ClassScope *scope)
{
    for (Py_ssize_t i = 0; i < hooked->scope_count; i++) {
        if (hooked->scopes[i] == scope) {
            return 1;
        }
    }
    return 0;
}

static int
add_scope(HookedClass *hooked, ClassScope *scope)
{
    size_t count = (size_t)hooked->scope_count + 1;
    ClassScope **scopes = hooked->scopes;
    PyMem_Resize(scopes, ClassScope *, count); /* Assigns, NULL on failure. */
    if (scopes != NULL) {
        hooked->scopes = scopes;
    }
    char *is_quiet = hooked->is_quiet;
    PyMem_Resize(is_quiet, char, count);
    if (is_quiet != NULL) {
        hooked->is_quiet = is_quiet;
    }
    if (scopes == NULL || is_quiet == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    scopes[hooked->scope_count] = scope;
    is_quiet[hooked->scope_count++] = 0;
    return 0;
}

static HookedClass *
make_hooked(CoreState *state, PyTypeObject *type)
{
    HookedClass *hooked = PyMem_Calloc(1, sizeof(HookedClass));
    if (hooked == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    PyTypeObject *base = type;
    while (base->tp_dealloc == state->python_dealloc) {
        base = base->tp_base;
    }
    hooked->type = type;
    /* A type made by C code inherits the slots of its base, ours among them. */
    hooked->alloc = type->tp_alloc == on_alloc ? find_for_slots(state, type->tp_base)->alloc : type->tp_alloc;
    hooked->free = own_free(state, type);
    hooked->is_plain = base == &PyBaseObject_Type;
    if (!hooked->is_plain && PyType_HasFeature(type, Py_TPFLAGS_READY)) {
        stand_before_init(hooked);
    }
    if (table_put(&state->classes, type, hooked) < 0) { /* I1 */
        PyMem_Free(hooked);
        return NULL;
    }
    if (state->classes.count == 1) {
        stand_before_all(state);
    }
    stand_before_dict(state, type);
    type->tp_alloc = on_alloc;
    type->tp_free = on_free;
    PyType_Modified(type); /* I3 */
    return hooked;
}

void
classes_unhook_one(CoreState *state, HookedClass *hooked, int is_alive)
{
    if (is_alive) {
        hooked->type->tp_alloc = hooked->alloc;
        hooked->type->tp_free = hooked->free;
        if (hooked->type->tp_init == on_init) {
            hooked->type->tp_init = own_init(state, hooked->type);
        }
        PyType_Modified(hooked->type); /* I3 */
    }
    (void)table_take(&state->classes, hooked->type); /* I1 */
    subclasses_watch_no_more(state, hooked);
    if (state->classes.count == 0) {
        step_aside(state);
    }
    PyMem_Free(hooked->scopes);
    PyMem_Free(hooked->is_quiet);
    PyMem_Free(hooked);
}

int
classes_hook_all(CoreState *state, PyTypeObject *type, ClassScope *scope)
{
    HookedClass *hooked = classes_find(state, type);
    if (hooked == NULL) {
        hooked = make_hooked(state, type);
    }
    if (hooked == NULL || (!classes_has_scope(hooked, scope) && add_scope(hooked, scope) < 0)) {
        return -1;
    }
    if (subclasses_watch(state, hooked) < 0) {
        return -1;
    }
    PyObject *reference; /* Borrowed, as the key is. */
    PyObject *key;
    Py_ssize_t position = 0;
    while (type->tp_subclasses != NULL && PyDict_Next(type->tp_subclasses, &position, &key, &reference)) {
        PyObject *subclass = compat_referent(reference);
        int result = subclass == NULL ? 0 : classes_hook_all(state, (PyTypeObject *)subclass, scope);
        Py_XDECREF(subclass);
        if (result < 0) {
            return -1;
        }
    }
    return 0;
}

int
classes_hook(CoreState *state, ClassScope *scope)
{
    return classes_hook_all(state, scope->root, scope);
}

/* Take `scope` from `hooked`, which is hooked no more without any. */
static void
take_scope(CoreState *state, HookedClass *hooked, const ClassScope *scope)
{
    for (Py_ssize_t i = 0; i < hooked->scope_count; i++) {
        if (hooked->scopes[i] == scope) {
            hooked->scopes[i] = hooked->scopes[--hooked->scope_count];
            hooked->is_quiet[i] = hooked->is_quiet[hooked->scope_count];
            break;
        }
    }
    if (hooked->scope_count == 0) {
        classes_unhook_one(state, hooked, 1);
    }
}

void
classes_unhook(CoreState *state, ClassScope *scope)
{
    subclasses_find(state); /* Each that has our slots shall be hooked, to get its own back. */
    HookedClass *hooked;
    for (Py_ssize_t i = 0; (hooked = table_next(&state->classes, &i)) != NULL;) {
        /* There was no memory to put one under its scope. */
        if (classes_has_scope(hooked, scope) || hooked->scope_count == 0) {
            take_scope(state, hooked, scope);
            i = 0; /* The table may have moved what stood behind it. */
        }
    }
}

/* Take every class out of the scopes whose roots it does not stand under any more. */
static void
take_strays(CoreState *state)
{
    HookedClass *hooked;
    for (Py_ssize_t i = 0; (hooked = table_next(&state->classes, &i)) != NULL;) {
        for (Py_ssize_t j = 0; j < hooked->scope_count; j++) {
            if (!PyType_IsSubtype(hooked->type, hooked->scopes[j]->root)) {
                take_scope(state, hooked, hooked->scopes[j]);
                i = 0; /* The table may have moved what stood behind it. */
                break;
            }
        }
    }
}
