/* Stands before the stores to slots: what a member descriptor, which a class gets from `__slots__`, holds for an object.
 *
 * I1. `told_slots` counts the armed checks of each definition of a member. These lie in the memory of their class, which
 *     the checks' descriptors keep alive. While it counts one, the definition is marked: with MARK, which is ours, and as
 *     read-only.
 * I2. The interpreter replaces an instruction by one that stores to a slot without asking only where the slot is not
 *     read-only. Such as were there before know the class by its version, which is another from then on.
 *     Since 3.13 a class gets a thousand versions and no more: what has been marked often stays so.
 * I3. Nobody else reads that a definition is read-only but the function that stores. We stand before it as long as one is
 *     marked, and store to what is marked as if it were not.
 */
#include "told.h"

/* Beside the flags that CPython knows. */
#define MARK (1 << 30)
#define ONE_TIME (1 << 24) /* How often it has been marked. */
#define MOST_TIMES (20 * ONE_TIME)

static descrsetfunc store_member; /* The interpreter's own. */
static int some_stay; /* Some definition stays marked for good: so do we. */

static PyMemberDef *
definition_of(const PyObject *descriptor)
{
    return ((const PyMemberDescrObject *)descriptor)->d_member;
}

/* What `store_member` does, for a definition that is marked. */
static int
store_marked(PyObject *descriptor, PyObject *owner, PyObject *value)
{
    PyMemberDef definition = *definition_of(descriptor);
    if (!(definition.flags & MARK) || !PyObject_TypeCheck(owner, PyDescr_TYPE(descriptor))) {
        return store_member(descriptor, owner, value); /* Which refuses it. */
    }
    definition.flags &= ~(MARK | READONLY); /* I3 */
    return PyMember_SetOne((char *)owner, &definition, value);
}

static int
on_store(PyObject *descriptor, PyObject *owner, PyObject *value)
{
    Operation operation;
    if (!(definition_of(descriptor)->flags & MARK)) {
        return store_member(descriptor, owner, value);
    }
    if (!told_may_be_watched(owner) || !told_begin(&operation, owner)) {
        return store_marked(descriptor, owner, value);
    }
    int result = store_marked(descriptor, owner, value);
    told_end(&operation);
    return result;
}

int
slots_can_tell(const PyObject *descriptor)
{
    PyTypeObject *type = PyDescr_TYPE(descriptor);
    /* Of a type that C code makes, C code may store without asking. */
    if (!PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) || ((PyHeapTypeObject *)type)->ht_slots == NULL) {
        return 0;
    }
    const PyMemberDef *own = (const PyMemberDef *)((const char *)type + Py_TYPE(type)->tp_basicsize);
    const PyMemberDef *definition = definition_of(descriptor);
    return definition >= own && definition < own + Py_SIZE(type) && definition->type == T_OBJECT_EX &&
           ((definition->flags & MARK) || !(definition->flags & READONLY));
}

PyObject *
slots_tell(PyObject *Py_UNUSED(module), PyObject *descriptor)
{
    return PyBool_FromLong(Py_IS_TYPE(descriptor, &PyMemberDescr_Type) && slots_can_tell(descriptor));
}

static void
stand_before_stores(void)
{
    if (PyMemberDescr_Type.tp_descr_set == on_store) {
        return;
    }
    store_member = PyMemberDescr_Type.tp_descr_set;
    PyMemberDescr_Type.tp_descr_set = on_store;
    interpose_in_wrappers(&PyMemberDescr_Type, (void *)store_member, (void *)on_store);
}

static void
step_aside_of_stores(void)
{
    if (PyMemberDescr_Type.tp_descr_set == on_store) {
        PyMemberDescr_Type.tp_descr_set = store_member;
    }
    interpose_in_wrappers(&PyMemberDescr_Type, (void *)on_store, (void *)store_member);
}

/* Count one more, or one less, and return how many there are then; -1 with an exception set. */
static Py_ssize_t
count_checks(CoreState *state, const PyMemberDef *definition, int change)
{
    Py_ssize_t count = (Py_ssize_t)table_take(&state->told_slots, definition) + change;
    assert(count >= 0);
    if (count > 0 && table_put(&state->told_slots, definition, (void *)count) < 0) {
        assert(count == 1); /* Else there is room: its place has just been taken out. */
        return -1;
    }
    return count;
}

int
slots_begin(CoreState *state, const PyObject *descriptor)
{
    PyMemberDef *definition = definition_of(descriptor);
    Py_ssize_t count = count_checks(state, definition, 1);
    if (count == 1) {
        if (state->told_slots.count == 1) {
            stand_before_stores();
        }
        if (!(definition->flags & MARK)) {
            definition->flags = (definition->flags + ONE_TIME) | MARK | READONLY; /* I1 */
            PyType_Modified(PyDescr_TYPE(descriptor)); /* I2 */
        }
    }
    return count < 0 ? -1 : 0;
}

void
slots_end(CoreState *state, const PyObject *descriptor)
{
    PyMemberDef *definition = definition_of(descriptor);
    if (count_checks(state, definition, -1) == 0) {
        if ((definition->flags & ~MARK) >= MOST_TIMES) {
            some_stay = 1;
        }
        else {
            definition->flags &= ~(MARK | READONLY);
        }
        if (state->told_slots.count == 0 && !some_stay) {
            step_aside_of_stores();
        }
    }
}
