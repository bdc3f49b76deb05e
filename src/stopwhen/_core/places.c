/* The stack of a thread as a read-only sequence of (code, offset): Python gets the pairs one by one, as it asks for them.
 *
 * I1. A sequence owns its code objects and nothing else of the program's.
 */
#include "places.h"

#define MOST_PLACES 500 /* The same as in mechanisms/recheck.py. */

typedef struct {
    PyCodeObject *code; /* Owned. */
    int offset;
} Place;

typedef struct {
    PyObject_VAR_HEAD Place places[1];
} Places;

static PyObject *
places_from(CoreState *state, InterpreterFrame *innermost, int offset)
{
    Py_ssize_t count = 0;
    int own;
    InterpreterFrame *frame = innermost;
    while (count < MOST_PLACES && compat_next_place(&frame, &own) != NULL) {
        count++;
    }
    Places *self = PyObject_NewVar(Places, state->places_type, count);
    if (self == NULL) {
        return NULL;
    }
    frame = innermost;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyCodeObject *code = compat_next_place(&frame, &own);
        assert(code != NULL); /* The frames are those that were counted: nothing ran meanwhile. */
        self->places[i] = (Place){(PyCodeObject *)Py_NewRef(code), i == 0 && offset >= 0 ? offset : own};
    }
    return (PyObject *)self;
}

PyObject *
places_of(CoreState *state, PyFrameObject *frame, int offset)
{
    return places_from(state, frame == NULL ? NULL : compat_frame_of(frame), offset);
}

PyObject *
places_here(CoreState *state)
{
    return places_from(state, compat_top_frame(), -1);
}

int
places_first(const PyObject *places, PyCodeObject **code)
{
    const Places *self = (const Places *)places;
    *code = Py_SIZE(places) == 0 ? NULL : self->places[0].code;
    return *code == NULL ? -1 : self->places[0].offset;
}

static Py_ssize_t
places_length(PyObject *object)
{
    return Py_SIZE(object);
}

static PyObject *
places_item(PyObject *object, Py_ssize_t index)
{
    if (index < 0 || index >= Py_SIZE(object)) {
        PyErr_SetString(PyExc_IndexError, "there are not so many frames");
        return NULL;
    }
    const Place *place = &((Places *)object)->places[index];
    return Py_BuildValue("Oi", place->code, place->offset);
}

/* filenames(): the file of each place, as exact texts. */
static PyObject *
places_filenames(PyObject *object, PyObject *Py_UNUSED(unused))
{
    PyObject *names = PyList_New(Py_SIZE(object));
    for (Py_ssize_t i = 0; names != NULL && i < Py_SIZE(object); i++) {
        PyObject *name = PyUnicode_FromObject(((Places *)object)->places[i].code->co_filename);
        if (name == NULL) {
            Py_CLEAR(names);
            break;
        }
        PyList_SET_ITEM(names, i, name);
    }
    return names;
}

static void
places_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    for (Py_ssize_t i = 0; i < Py_SIZE(object); i++) {
        Py_DECREF(((Places *)object)->places[i].code);
    }
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef places_methods[] = {
    {"filenames", places_filenames, METH_NOARGS, PyDoc_STR("Return the file of each place, as exact texts.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot places_slots[] = {
    {Py_tp_dealloc, places_dealloc},
    {Py_sq_length, places_length},
    {Py_sq_item, places_item},
    {Py_tp_methods, places_methods},
    {Py_tp_doc, (void *)PyDoc_STR("Code and offset of each frame of a thread, innermost first.")},
    {0, NULL},
};

PyType_Spec places_spec = {
    .name = "stopwhen._core.Places",
    .basicsize = offsetof(Places, places),
    .itemsize = sizeof(Place),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = places_slots,
};
