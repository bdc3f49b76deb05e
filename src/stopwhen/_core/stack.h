/* What is on the stack of a running frame: the interpreter's own structures, for which there is no public call. Whoever
 * includes this defines Py_BUILD_CORE. */
#ifndef STOPWHEN_STACK_H
#define STOPWHEN_STACK_H

#include "compat.h"

#if PY_VERSION_HEX >= 0x030E0000
#include <internal/pycore_interpframe.h>
#endif
#include <internal/pycore_frame.h>

/* Return what is on top of the stack of `frame`, borrowed; NULL when that is not known.
 *
 * Only while an event of that frame is handled that comes before an instruction. `depth` is how deep the stack is, which
 * versions before 3.14 do not tell; negative when it is not known. */
static inline PyObject *
stack_top(_PyInterpreterFrame *frame, int depth)
{
#if PY_VERSION_HEX >= 0x030E0000
    (void)depth;
    _PyStackRef item = frame->stackpointer[-1];
    /* Not by PyStackRef_AsPyObjectBorrow: it may be a tagged number. */
    return (item.bits & 3) == 3 ? NULL : (PyObject *)(item.bits & ~(uintptr_t)3);
#else
    return depth <= 0 ? NULL : _PyFrame_Stackbase(frame)[depth - 1];
#endif
}

/* Return the innermost frame of `thread`. */
static inline _PyInterpreterFrame *
innermost_frame(PyThreadState *thread)
{
#if PY_VERSION_HEX >= 0x030D0000
    return thread->current_frame;
#else
    return thread->cframe->current_frame;
#endif
}

#endif
