/* For tests: each call of the C module that allocates may be told to fail, as if there were no memory.
 *
 * Included at the end of compat.h when the module is built with STOPWHEN_FAILING; never in what is shipped. A test sets
 * the two variables with ctypes. Allocations inside the interpreter do not fail: where those of its own instrumentation
 * do, some versions crash by themselves. */
#ifndef STOPWHEN_TESTS_FAILING_H
#define STOPWHEN_TESTS_FAILING_H

/* Allocations until one fails; negative: none does. One for all sources: weak symbols of the same name are one. */
__attribute__((weak, visibility("default"))) long stopwhen_allocations_left = -1;
/* All fail from then on, not only that one. */
__attribute__((weak, visibility("default"))) int stopwhen_goes_on_failing = 0;

static inline int
fails_now(void)
{
    if (stopwhen_allocations_left < 0) {
        return 0;
    }
    if (stopwhen_allocations_left > 0) {
        stopwhen_allocations_left--;
        return 0;
    }
    if (!stopwhen_goes_on_failing) {
        stopwhen_allocations_left = -1;
    }
    return 1;
}

static inline int
no_memory(void)
{
    PyErr_NoMemory();
    return -1;
}

/* Names that are macros in some versions. */
#if PY_VERSION_HEX < 0x030D0000
#undef PyObject_CallMethod
#define call_method _PyObject_CallMethod_SizeT
#undef Py_BuildValue
#define build_value _Py_BuildValue_SizeT
#else
#define call_method (PyObject_CallMethod)
#define build_value (Py_BuildValue)
#endif
#if PY_VERSION_HEX < 0x030C0000
#undef PyUnstable_Code_SetExtra
#define set_extra _PyCode_SetExtra
#else
#define set_extra (PyUnstable_Code_SetExtra)
#endif

/* What returns an object, or NULL with an exception. */
#define PyBytes_FromStringAndSize(...) (fails_now() ? PyErr_NoMemory() : PyBytes_FromStringAndSize(__VA_ARGS__))
#define PyCode_GetCode(...) (fails_now() ? PyErr_NoMemory() : PyCode_GetCode(__VA_ARGS__))
#define PyDict_New(...) (fails_now() ? PyErr_NoMemory() : PyDict_New(__VA_ARGS__))
#define PyList_AsTuple(...) (fails_now() ? PyErr_NoMemory() : PyList_AsTuple(__VA_ARGS__))
#define PyList_GetSlice(...) (fails_now() ? PyErr_NoMemory() : PyList_GetSlice(__VA_ARGS__))
#define PyList_New(...) (fails_now() ? PyErr_NoMemory() : PyList_New(__VA_ARGS__))
#define PyLong_FromLong(number) ((number) != 0 && fails_now() ? PyErr_NoMemory() : PyLong_FromLong(number))
#define PyLong_FromLongLong(...) (fails_now() ? PyErr_NoMemory() : PyLong_FromLongLong(__VA_ARGS__))
#define PyLong_FromUnsignedLong(...) (fails_now() ? PyErr_NoMemory() : PyLong_FromUnsignedLong(__VA_ARGS__))
#define PyLong_FromSsize_t(...) (fails_now() ? PyErr_NoMemory() : PyLong_FromSsize_t(__VA_ARGS__))
#define PyLong_FromVoidPtr(...) (fails_now() ? PyErr_NoMemory() : PyLong_FromVoidPtr(__VA_ARGS__))
#define PyObject_CallMethod(...) (fails_now() ? PyErr_NoMemory() : call_method(__VA_ARGS__))
#define PyObject_CallOneArg(...) (fails_now() ? PyErr_NoMemory() : PyObject_CallOneArg(__VA_ARGS__))
#define PyObject_CallNoArgs(...) (fails_now() ? PyErr_NoMemory() : PyObject_CallNoArgs(__VA_ARGS__))
#define PyObject_Vectorcall(...) (fails_now() ? PyErr_NoMemory() : PyObject_Vectorcall(__VA_ARGS__))
#define PySlice_New(...) (fails_now() ? PyErr_NoMemory() : PySlice_New(__VA_ARGS__))
#define PySequence_List(...) (fails_now() ? PyErr_NoMemory() : PySequence_List(__VA_ARGS__))
#define PyTuple_New(...) (fails_now() ? PyErr_NoMemory() : PyTuple_New(__VA_ARGS__))
#define PyTuple_Pack(...) (fails_now() ? PyErr_NoMemory() : PyTuple_Pack(__VA_ARGS__))
#define Py_BuildValue(...) (fails_now() ? PyErr_NoMemory() : build_value(__VA_ARGS__))
#define PyUnicode_FromFormat(...) (fails_now() ? PyErr_NoMemory() : PyUnicode_FromFormat(__VA_ARGS__))
#define PyUnicode_FromObject(...) (fails_now() ? PyErr_NoMemory() : PyUnicode_FromObject(__VA_ARGS__))
#define PyUnicode_FromString(...) (fails_now() ? PyErr_NoMemory() : PyUnicode_FromString(__VA_ARGS__))
#define PyUnicode_InternFromString(...) (fails_now() ? PyErr_NoMemory() : PyUnicode_InternFromString(__VA_ARGS__))
#define PyObject_GetAttrString(...) (fails_now() ? PyErr_NoMemory() : PyObject_GetAttrString(__VA_ARGS__))
#define PyFrame_GetBack(...) (fails_now() ? (PyFrameObject *)PyErr_NoMemory() : PyFrame_GetBack(__VA_ARGS__))
/* What returns -1 with an exception. */
#define PyDict_AddWatcher(...) (fails_now() ? no_memory() : PyDict_AddWatcher(__VA_ARGS__))
#define PyDict_SetItem(...) (fails_now() ? no_memory() : PyDict_SetItem(__VA_ARGS__))
#define PyList_Append(...) (fails_now() ? no_memory() : PyList_Append(__VA_ARGS__))
#define PyTraceBack_Here(...) (fails_now() ? no_memory() : PyTraceBack_Here(__VA_ARGS__))
#define PyUnstable_Code_SetExtra(...) (fails_now() ? no_memory() : set_extra(__VA_ARGS__))
/* What fails without an exception. */
#define PyThreadState_GetFrame(...) (fails_now() ? NULL : PyThreadState_GetFrame(__VA_ARGS__))
#define PyMem_Malloc(...) (fails_now() ? NULL : PyMem_Malloc(__VA_ARGS__))
#define PyMem_Calloc(...) (fails_now() ? NULL : PyMem_Calloc(__VA_ARGS__))
#define PyMem_Realloc(...) (fails_now() ? NULL : PyMem_Realloc(__VA_ARGS__))
#define Py_AddPendingCall(...) (fails_now() ? -1 : Py_AddPendingCall(__VA_ARGS__))

#endif
