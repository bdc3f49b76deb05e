/* Stands before the C functions that change containers: slots of their types, methods, and functions of the standard library.
 *
 * I1. Each function that we stand before has a stub of its own for as long as the process lives: others may have taken the
 *     stub's address while it stood there. A stub whose container is not watched calls the function, and no more.
 * I2. What is put back is what was there before us, and only where our stub still stands.
 * I3. Types, their methods and slots belong to all interpreters of the process. Only the main one watches anything.
 */
#include "told.h"

#if defined(__GNUC__)
#define is_likely(condition) __builtin_expect(!!(condition), 1)
#else
#define is_likely(condition) (condition)
#endif

/* ---- methods and functions ---- */

typedef struct {
    PyMethodDef *definition;
    PyCFunction original;
    int of_arguments; /* What it changes is its first argument, not what it is bound to. */
    const char *owner; /* Static: the name of its type or module. */
    int at_end; /* A method of lists; without arguments, or with this one, it changes the last item, or adds one. */
} Function;

static void
name_function(Operation *operation, const Function *function)
{
    operation->blame.by_owner = function->owner;
    operation->blame.by_name = function->definition->ml_name;
}

/* Begin a call of a method of lists that changes the end, if anything. */
static int
begin_at_end(Operation *operation, PyObject *owner, int removes)
{
    assert(PyList_Check(owner));
    return told_begin_narrow(operation, owner, PyList_GET_SIZE(owner) - removes, 0);
}

typedef enum { CALL_PLAIN, CALL_FAST, CALL_KEYWORDS, CALL_METHOD, CONVENTIONS } Convention;

/* How many stubs there are for each convention of calls. */
#define MOST_FUNCTIONS 48

static Function functions[CONVENTIONS][MOST_FUNCTIONS];
static int function_count[CONVENTIONS];

static PyObject *
first_of(PyObject *const *args, Py_ssize_t count)
{
    return count > 0 ? args[0] : NULL;
}

static inline Py_ALWAYS_INLINE PyObject *
call_plain(const Function *function, PyObject *self, PyObject *argument)
{
    PyObject *owner = function->of_arguments ? argument : self;
    Operation operation;
    if (is_likely(!told_may_be_watched(owner)) ||
        !(function->at_end ? begin_at_end(&operation, owner, 0) : told_begin(&operation, owner))) {
        return function->original(self, argument);
    }
    name_function(&operation, function);
    PyObject *result = function->original(self, argument);
    told_end(&operation);
    return result;
}

static inline Py_ALWAYS_INLINE PyObject *
call_fast(const Function *function, PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    _PyCFunctionFast original = (_PyCFunctionFast)(void (*)(void))function->original;
    PyObject *owner = function->of_arguments ? first_of(args, count) : self;
    Operation operation;
    if (is_likely(!told_may_be_watched(owner)) ||
        !(function->at_end && count == 0 ? begin_at_end(&operation, owner, 1) : told_begin(&operation, owner))) {
        return original(self, args, count);
    }
    name_function(&operation, function);
    PyObject *result = original(self, args, count);
    told_end(&operation);
    return result;
}

static inline Py_ALWAYS_INLINE PyObject *
call_keywords(const Function *function, PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    _PyCFunctionFastWithKeywords original = (_PyCFunctionFastWithKeywords)(void (*)(void))function->original;
    Py_ssize_t all = count + (names == NULL ? 0 : PyTuple_GET_SIZE(names));
    PyObject *owner = function->of_arguments ? first_of(args, all) : self;
    Operation operation;
    if (is_likely(!told_may_be_watched(owner)) || !told_begin(&operation, owner)) {
        return original(self, args, count, names);
    }
    name_function(&operation, function);
    PyObject *result = original(self, args, count, names);
    told_end(&operation);
    return result;
}

static inline Py_ALWAYS_INLINE PyObject *
call_defined(const Function *function, PyObject *self, PyTypeObject *definer, PyObject *const *args, Py_ssize_t count,
             PyObject *names)
{
    PyCMethod original = (PyCMethod)(void (*)(void))function->original;
    Operation operation;
    if (is_likely(!told_may_be_watched(self)) || !told_begin(&operation, self)) {
        return original(self, definer, args, count, names);
    }
    name_function(&operation, function);
    PyObject *result = original(self, definer, args, count, names);
    told_end(&operation);
    return result;
}

#define EIGHT(X, n) X(n##0) X(n##1) X(n##2) X(n##3) X(n##4) X(n##5) X(n##6) X(n##7)
/* The numbers are octal. */
#define ALL_FUNCTIONS(X) EIGHT(X, 00) EIGHT(X, 01) EIGHT(X, 02) EIGHT(X, 03) EIGHT(X, 04) EIGHT(X, 05)

#define FUNCTION_STUBS(n)                                                                                              \
    static PyObject *plain_##n(PyObject *self, PyObject *argument)                                                     \
    {                                                                                                                  \
        return call_plain(&functions[CALL_PLAIN][n], self, argument);                                                  \
    }                                                                                                                  \
    static PyObject *fast_##n(PyObject *self, PyObject *const *args, Py_ssize_t count)                                 \
    {                                                                                                                  \
        return call_fast(&functions[CALL_FAST][n], self, args, count);                                                 \
    }                                                                                                                  \
    static PyObject *keywords_##n(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)            \
    {                                                                                                                  \
        return call_keywords(&functions[CALL_KEYWORDS][n], self, args, count, names);                                  \
    }                                                                                                                  \
    static PyObject *method_##n(PyObject *self, PyTypeObject *definer, PyObject *const *args, Py_ssize_t count,        \
                                PyObject *names)                                                                       \
    {                                                                                                                  \
        return call_defined(&functions[CALL_METHOD][n], self, definer, args, count, names);                            \
    }
ALL_FUNCTIONS(FUNCTION_STUBS)

#define FUNCTION_STUB_NAMES(n)                                                                                         \
    {plain_##n, (PyCFunction)(void (*)(void))fast_##n, (PyCFunction)(void (*)(void))keywords_##n,                      \
     (PyCFunction)(void (*)(void))method_##n},
static const PyCFunction function_stubs[MOST_FUNCTIONS][CONVENTIONS] = {ALL_FUNCTIONS(FUNCTION_STUB_NAMES)};

static int
convention_of(int flags)
{
    switch (flags & ~(METH_CLASS | METH_STATIC | METH_COEXIST)) {
    case METH_NOARGS:
    case METH_O:
    case METH_VARARGS:
        return CALL_PLAIN;
    case METH_FASTCALL:
        return CALL_FAST;
    case METH_FASTCALL | METH_KEYWORDS:
        return CALL_KEYWORDS;
    case METH_METHOD | METH_FASTCALL | METH_KEYWORDS:
        return CALL_METHOD;
    default:
        return CONVENTIONS;
    }
}

static int
stand_before_function(PyMethodDef *definition, const char *owner, int of_arguments, int at_end)
{
    int convention = convention_of(definition->ml_flags);
    if (convention == CONVENTIONS) {
        PyErr_Format(PyExc_SystemError, "%s is called in a way that is not known", definition->ml_name);
        return -1;
    }
    int i = 0;
    while (i < function_count[convention] && functions[convention][i].definition != definition) {
        i++;
    }
    if (i == MOST_FUNCTIONS) {
        PyErr_Format(PyExc_SystemError, "no stub is left for %s", definition->ml_name);
        return -1;
    }
    Function *function = &functions[convention][i];
    if (i == function_count[convention]) {
        *function = (Function){definition, definition->ml_meth, of_arguments, owner, at_end};
        function_count[convention]++; /* I1 */
    }
    PyCFunction stub = function_stubs[i][convention];
    if (definition->ml_meth == function->original) {
        definition->ml_meth = stub;
    }
    return 0;
}

static void
step_aside_of_function(PyMethodDef *definition)
{
    int convention = convention_of(definition->ml_flags);
    for (int i = 0; convention != CONVENTIONS && i < function_count[convention]; i++) {
        const Function *function = &functions[convention][i];
        if (function->definition == definition && definition->ml_meth == function_stubs[i][convention]) {
            definition->ml_meth = function->original; /* I2 */
        }
    }
}

/* ---- slots ---- */

typedef enum {
    SLOT_STORE_KEY, /* mp_ass_subscript */
    SLOT_STORE_INDEX, /* sq_ass_item */
    SLOT_ADD, /* sq_inplace_concat */
    SLOT_REPEAT, /* sq_inplace_repeat */
    SLOT_AND, /* nb_inplace_and, and the like */
    SLOT_OR,
    SLOT_SUBTRACT,
    SLOT_XOR,
    SLOT_INIT, /* tp_init */
    SLOTS,
} SlotName;

/* How many types there are whose slots we stand before. */
#define MOST_TYPES 8

static void *slots[SLOTS][MOST_TYPES]; /* What stood there before us. */

/* Begin a store to an item, or its deletion. Where the index is known, that of a list changes no other item. */
static int
begin_store_index(Operation *operation, PyObject *owner, Py_ssize_t index, const PyObject *value)
{
    Py_ssize_t length = PyList_Check(owner) ? PyList_GET_SIZE(owner) : 0;
    if (index < 0 || index >= length) {
        return told_begin(operation, owner);
    }
    return told_begin_narrow(operation, owner, index, value == NULL && index != length - 1 ? -1 : length - 1 - index);
}

static int
begin_store_key(Operation *operation, PyObject *owner, PyObject *key, const PyObject *value)
{
    if (!PyList_Check(owner) || !PyLong_CheckExact(key)) {
        return told_begin(operation, owner);
    }
    PendingError error = take_pending_error();
    Py_ssize_t index = PyLong_AsSsize_t(key);
    PyErr_Clear(); /* Beyond any list. */
    put_back_pending_error(error);
    return begin_store_index(operation, owner, index < 0 ? index + PyList_GET_SIZE(owner) : index, value);
}

#define SLOT_STUB(n, name, slot, type, parameters, arguments, result_type)                                             \
    SLOT_STUB_THAT_BEGINS(n, name, slot, type, parameters, arguments, result_type, told_begin(&operation, self))

#define SLOT_STUB_THAT_BEGINS(n, name, slot, type, parameters, arguments, result_type, begin)                          \
    static result_type name##_##n parameters                                                                           \
    {                                                                                                                  \
        type original = (type)slots[slot][n];                                                                          \
        Operation operation;                                                                                           \
        if (is_likely(!told_may_be_watched(self)) || !(begin)) {                                                       \
            return original arguments;                                                                                 \
        }                                                                                                              \
        result_type result = original arguments;                                                                       \
        told_end(&operation);                                                                                          \
        return result;                                                                                                 \
    }

#define BINARY_STUB(n, name, slot)                                                                                     \
    SLOT_STUB(n, name, slot, binaryfunc, (PyObject * self, PyObject * other), (self, other), PyObject *)

#define SLOT_STUBS(n)                                                                                                  \
    SLOT_STUB_THAT_BEGINS(n, store_key, SLOT_STORE_KEY, objobjargproc,                                                 \
                          (PyObject * self, PyObject * key, PyObject * value), (self, key, value), int,                \
                          begin_store_key(&operation, self, key, value))                                               \
    SLOT_STUB_THAT_BEGINS(n, store_index, SLOT_STORE_INDEX, ssizeobjargproc,                                           \
                          (PyObject * self, Py_ssize_t index, PyObject * value), (self, index, value), int,            \
                          begin_store_index(&operation, self, index, value))                                           \
    BINARY_STUB(n, add, SLOT_ADD)                                                                                      \
    SLOT_STUB(n, repeat, SLOT_REPEAT, ssizeargfunc, (PyObject * self, Py_ssize_t count), (self, count), PyObject *)    \
    BINARY_STUB(n, and, SLOT_AND)                                                                                      \
    BINARY_STUB(n, or, SLOT_OR)                                                                                        \
    BINARY_STUB(n, subtract, SLOT_SUBTRACT)                                                                            \
    BINARY_STUB(n, xor, SLOT_XOR)                                                                                      \
    SLOT_STUB(n, init, SLOT_INIT, initproc, (PyObject * self, PyObject * args, PyObject * names), (self, args, names), \
              int)
EIGHT(SLOT_STUBS, 0)

#define SLOT_STUB_NAMES(n)                                                                                             \
    {(void *)store_key_##n, (void *)store_index_##n, (void *)add_##n, (void *)repeat_##n, (void *)and_##n,             \
     (void *)or_##n,        (void *)subtract_##n,    (void *)xor_##n, (void *)init_##n},
static void *const slot_stubs[MOST_TYPES][SLOTS] = {EIGHT(SLOT_STUB_NAMES, 0)};

/* Return where `type` keeps the slot; NULL for nowhere. */
static void **
slot_of(PyTypeObject *type, SlotName name)
{
    PyMappingMethods *mapping = type->tp_as_mapping;
    PySequenceMethods *sequence = type->tp_as_sequence;
    PyNumberMethods *number = type->tp_as_number;
    switch (name) {
    case SLOT_STORE_KEY:
        return mapping == NULL ? NULL : (void **)&mapping->mp_ass_subscript;
    case SLOT_STORE_INDEX:
        return sequence == NULL ? NULL : (void **)&sequence->sq_ass_item;
    case SLOT_ADD:
        return sequence == NULL ? NULL : (void **)&sequence->sq_inplace_concat;
    case SLOT_REPEAT:
        return sequence == NULL ? NULL : (void **)&sequence->sq_inplace_repeat;
    case SLOT_AND:
        return number == NULL ? NULL : (void **)&number->nb_inplace_and;
    case SLOT_OR:
        return number == NULL ? NULL : (void **)&number->nb_inplace_or;
    case SLOT_SUBTRACT:
        return number == NULL ? NULL : (void **)&number->nb_inplace_subtract;
    case SLOT_XOR:
        return number == NULL ? NULL : (void **)&number->nb_inplace_xor;
    case SLOT_INIT:
        return (void **)&type->tp_init;
    default:
        return NULL;
    }
}

/* Replace one function by another in a slot of `type` and of all its subclasses that have inherited it; -1 with an
 * exception set. */
static int
replace_in_slot(PyTypeObject *type, SlotName name, void *before, void *after)
{
    void **slot = slot_of(type, name);
    if (slot != NULL && *slot == before) {
        *slot = after;
    }
    /* A subclass has what `__iadd__` calls in the slot of numbers, which is asked before that of sequences. */
    PyNumberMethods *number = type->tp_as_number;
    if (name == SLOT_ADD && number != NULL && (void *)number->nb_inplace_add == before) {
        number->nb_inplace_add = (binaryfunc)after;
    }
    PyObject *subclasses = PyObject_CallMethod((PyObject *)&PyType_Type, "__subclasses__", "O", type);
    int result = subclasses == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; result == 0 && i < PyList_GET_SIZE(subclasses); i++) {
        result = replace_in_slot((PyTypeObject *)PyList_GET_ITEM(subclasses, i), name, before, after);
    }
    Py_XDECREF(subclasses);
    return result;
}

/* Such a method is `list.__setitem__`. */
void
interpose_in_wrappers(PyTypeObject *type, void *before, void *after)
{
    PyObject *names = compat_type_dict(type);
    PyObject *key, *value; /* Borrowed. */
    Py_ssize_t position = 0;
    while (PyDict_Next(names, &position, &key, &value)) {
        if (Py_IS_TYPE(value, &PyWrapperDescr_Type) && ((PyWrapperDescrObject *)value)->d_wrapped == before) {
            ((PyWrapperDescrObject *)value)->d_wrapped = after;
        }
    }
    Py_DECREF(names);
}

/* ---- the containers ---- */

#define MOST_METHODS 16

typedef struct {
    const char *module; /* Where the type is found, */
    const char *name; /* and what it is called. */
    const char *methods[MOST_METHODS]; /* That change it. */
    PyTypeObject *type; /* Borrowed, as it is never freed; NULL until found. */
    Py_ssize_t watched; /* How many containers of it, and of its subclasses, are. */
} Container;

static Container containers[] = {
    {.module = "builtins",
     .name = "list",
     .methods = {"append", "insert", "extend", "pop", "remove", "clear", "reverse", "sort"}},
    {.module = "builtins",
     .name = "set",
     .methods = {"add", "clear", "discard", "pop", "remove", "update", "difference_update", "intersection_update",
                 "symmetric_difference_update"}},
    {.module = "_collections",
     .name = "deque",
     .methods = {"append", "appendleft", "clear", "extend", "extendleft", "insert", "pop", "popleft", "remove",
                 "reverse", "rotate"}},
};

/* Functions that change a list which they are given. */
static const struct {
    const char *module;
    const char *names[MOST_METHODS];
} modules[] = {
    {"_heapq",
     {"heapify", "heappush", "heappop", "heapreplace", "heappushpop", "_heapify_max", "_heappop_max",
      "_heapreplace_max", "heapify_max", "heappush_max", "heappop_max", "heapreplace_max", "heappushpop_max"}},
    {"_bisect", {"insort_left", "insort_right"}},
};

#define MOST_DEFINITIONS 16

static struct {
    const char *module; /* By its public name. */
    PyMethodDef *definition;
} list_functions[MOST_DEFINITIONS];
static int list_function_count;

int
interpose_open(void)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(containers); i++) {
        PyObject *module = PyImport_ImportModule(containers[i].module);
        PyObject *type = module == NULL ? NULL : PyObject_GetAttrString(module, containers[i].name);
        Py_XDECREF(module);
        if (type == NULL) {
            return -1;
        }
        containers[i].type = (PyTypeObject *)type; /* Kept for good (I1). */
    }
    list_function_count = 0;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(modules); i++) {
        PyObject *module = PyImport_ImportModule(modules[i].module);
        if (module == NULL) {
            return -1;
        }
        for (const char *const *name = modules[i].names; *name != NULL; name++) {
            PyObject *function = PyDict_GetItemString(PyModule_GetDict(module), *name); /* Borrowed. */
            if (function != NULL && PyCFunction_Check(function)) {
                assert(list_function_count < MOST_DEFINITIONS);
                list_functions[list_function_count].module = modules[i].module + 1; /* Without its underscore. */
                list_functions[list_function_count++].definition = ((PyCFunctionObject *)function)->m_ml;
            }
        }
        Py_DECREF(module); /* The interpreter keeps it, and its static definitions stay in any case. */
    }
    return 0;
}

static Container *
container_of(PyObject *owner)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(containers); i++) {
        if (PyObject_TypeCheck(owner, containers[i].type)) {
            return &containers[i];
        }
    }
    return NULL;
}

int
interpose_has_type(PyObject *owner)
{
    return container_of(owner) != NULL;
}

static PyMethodDef *
definition_of(const Container *container, const char *name)
{
    PyObject *names = compat_type_dict(container->type);
    PyObject *method = PyDict_GetItemString(names, name); /* Borrowed. */
    Py_DECREF(names); /* The type keeps it. */
    return method != NULL && Py_IS_TYPE(method, &PyMethodDescr_Type) ? ((PyMethodDescrObject *)method)->d_method : NULL;
}

static int
stand_before(Container *container)
{
    size_t number = (size_t)(container - containers);
    for (const char *const *name = container->methods; *name != NULL; name++) {
        PyMethodDef *definition = definition_of(container, *name);
        int at_end = container->type == &PyList_Type && (strcmp(*name, "append") == 0 || strcmp(*name, "pop") == 0);
        if (definition != NULL && stand_before_function(definition, container->name, 0, at_end) < 0) {
            return -1;
        }
    }
    for (int i = 0; i < list_function_count && container->type == &PyList_Type; i++) {
        if (stand_before_function(list_functions[i].definition, list_functions[i].module, 1, 0) < 0) {
            return -1;
        }
    }
    for (SlotName name = 0; name < SLOTS; name++) {
        void **slot = slot_of(container->type, name);
        if (slot == NULL || *slot == NULL) {
            continue;
        }
        void *stub = slot_stubs[number][name];
        if (slots[name][number] == NULL) {
            slots[name][number] = *slot; /* I1 */
        }
        if (replace_in_slot(container->type, name, slots[name][number], stub) < 0) {
            return -1;
        }
        interpose_in_wrappers(container->type, slots[name][number], stub);
    }
    if (container->type == &PyList_Type) {
        compat_forget_list_append();
    }
    return 0;
}

static void
step_aside(const Container *container)
{
    PendingError error = take_pending_error();
    size_t number = (size_t)(container - containers);
    for (const char *const *name = container->methods; *name != NULL; name++) {
        PyMethodDef *definition = definition_of(container, *name);
        if (definition != NULL) {
            step_aside_of_function(definition);
        }
    }
    for (int i = 0; i < list_function_count && container->type == &PyList_Type; i++) {
        step_aside_of_function(list_functions[i].definition);
    }
    for (SlotName name = 0; name < SLOTS; name++) {
        void *original = slots[name][number];
        if (original != NULL) {
            if (replace_in_slot(container->type, name, slot_stubs[number][name], original) < 0) { /* I2 */
                PyErr_Clear(); /* No memory: in some subclass a stub stays, which does no harm (I1). */
            }
            interpose_in_wrappers(container->type, slot_stubs[number][name], original);
        }
    }
    if (container->type == &PyList_Type) {
        compat_remember_list_append();
    }
    put_back_pending_error(error);
}

int
interpose_begin(PyObject *owner)
{
    Container *container = container_of(owner);
    assert(container != NULL);
    if (container->watched == 0 && stand_before(container) < 0) {
        step_aside(container);
        return -1;
    }
    container->watched++;
    return 0;
}

void
interpose_end(PyObject *owner)
{
    Container *container = container_of(owner);
    assert(container != NULL && container->watched > 0);
    if (--container->watched == 0) {
        step_aside(container);
    }
}
