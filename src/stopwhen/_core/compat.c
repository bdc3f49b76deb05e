/* The few places that read the interpreter's own structures, where no public call of CPython tells what is needed. */
#define Py_BUILD_CORE 1
#include "compat.h"

#if PY_VERSION_HEX >= 0x030E0000
#include <internal/pycore_interpframe.h>
#endif
#include <internal/pycore_dict.h>
#include <internal/pycore_frame.h>

PyObject *
compat_fast_local(PyFrameObject *frame, Py_ssize_t index)
{
    assert(PyFrame_Check((PyObject *)frame));
#if PY_VERSION_HEX >= 0x030E0000
    _PyStackRef local = frame->f_frame->localsplus[index];
    return PyStackRef_IsNull(local) ? NULL : PyStackRef_AsPyObjectNew(local);
#else
    return Py_XNewRef(frame->f_frame->localsplus[index]);
#endif
}

int
compat_has_only_str_keys(PyObject *dict)
{
    assert(PyDict_Check(dict));
    return DK_IS_UNICODE(((PyDictObject *)dict)->ma_keys);
}
