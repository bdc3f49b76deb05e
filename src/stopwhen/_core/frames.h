/* Frames that somebody of ours speaks of, without keeping them alive, and the checks on their locals. */
#ifndef STOPWHEN_FRAMES_H
#define STOPWHEN_FRAMES_H

#include "state.h"

struct FrameRef {
    PyObject_HEAD
    PyFrameObject *frame; /* Borrowed; NULL once the frame is gone (frames.c, I1). */
    PyCodeObject *code;   /* Owned. */
    CoreState *state;     /* Borrowed; the type, which each instance owns, keeps the module. */
    Check **checks;       /* Borrowed; a check takes itself off before it dies. */
    Py_ssize_t check_count;
    Py_ssize_t check_capacity;
};

extern PyType_Spec frame_ref_spec;

/* Return the FrameRef of `frame`, borrowed; NULL when it has none. */
FrameRef *frames_find(const CoreState *state, PyFrameObject *frame);

/* Return the FrameRef of the running frame, borrowed; NULL when it has none. Creates no frame object. */
FrameRef *frames_running(const CoreState *state);

/* Be told of `f_locals[name] = value` from now on (3.13+), and not any more unless frames need it. */
void frames_stand_before_locals(CoreState *state);
void frames_step_aside_of_locals(CoreState *state);

/* Return the frame that a FrameRef speaks of, borrowed; NULL once it is gone. */
static inline PyFrameObject *
frames_of(const PyObject *ref)
{
    return ((const FrameRef *)ref)->frame;
}

/* The index of a local, cell or free variable; -1 for none. */
Py_ssize_t frames_local_index(const PyCodeObject *code, PyObject *name);

/* True when functions share the variable, which is then kept in a cell object from the frame's first instructions on. */
int frames_local_is_shared(PyFrameObject *frame, Py_ssize_t index);

/* Return what a variable of `frame` holds, new; NULL for nothing, and when `frame` is NULL. */
PyObject *frames_local(PyFrameObject *frame, Py_ssize_t index);

int frames_add_check(FrameRef *ref, Check *check);
void frames_remove_check(FrameRef *ref, Check *check);

/* 1 when some local of the frame has changed. */
int frames_find_change(CoreState *state, FrameRef *ref);

/* Note every change of a local of the frame, blaming `blame`, which is certain: errors are counted, never raised. */
void frames_report(CoreState *state, FrameRef *ref, const Blame *blame);

/* As `frames_report` for what happened in the frame itself, whose last place is `unit`, -1 when not known: a local that
 * nothing there stores to has been written by somebody else. */
void frames_report_after(CoreState *state, FrameRef *ref, const Blame *blame, const CodeInfo *info, Py_ssize_t unit);

/* Note the end of the frame to all its checks. */
void frames_note_end(CoreState *state, FrameRef *ref, PyFrameObject *frame);

/* frame_ref(frame): the FrameRef of `frame`, the same one as long as somebody has it. */
PyObject *frames_ref(PyObject *module, PyObject *frame);

/* frame_function(frame): the function that the frame runs. */
PyObject *frames_function(PyObject *module, PyObject *frame);

/* frame_namespace(frame): where a frame that is no function's keeps its names; None where it has none of its own.
 * While an inlined comprehension runs in it, `f_locals` is something else (3.12+). */
PyObject *frames_namespace(PyObject *module, PyObject *frame);

/* frame_is_cleared(frame): whether nothing is left of the frame's locals, or it has none. */
PyObject *frames_is_cleared(PyObject *module, PyObject *frame);

void frames_clear(CoreState *state);

#endif
