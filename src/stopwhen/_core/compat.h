/* Every difference between CPython versions that the C sources care about. */
#ifndef STOPWHEN_COMPAT_H
#define STOPWHEN_COMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <frameobject.h>
#include <structmember.h>

#define HAS_MONITORING (PY_VERSION_HEX >= 0x030C0000)
#define HAS_DICT_WATCHERS (PY_VERSION_HEX >= 0x030C0000)
#define HAS_DICT_VERSIONS (PY_VERSION_HEX < 0x030C0000)
/* The interpreter gives a new object its attributes only once its memory has been had: not to be touched before. */
#define ATTRIBUTES_COME_LATER (PY_VERSION_HEX < 0x030D0000)
/* A list of a subclass gives its memory back without tp_free. */
#define LISTS_FREE_THEMSELVES (PY_VERSION_HEX >= 0x030F0000)
#define HAS_FRAME_LOCALS_PROXY (PY_VERSION_HEX >= 0x030D0000)

#if PY_VERSION_HEX < 0x030D0000
#define Py_IsFinalizing _Py_IsFinalizing
#endif

#if PY_VERSION_HEX < 0x030C0000
#define PyUnstable_Code_GetExtra _PyCode_GetExtra
#define PyUnstable_Code_SetExtra _PyCode_SetExtra
#define PyUnstable_Eval_RequestCodeExtraIndex _PyEval_RequestCodeExtraIndex
#endif

/* Return what a weak reference refers to, new; NULL without an exception when that is gone. */
static inline PyObject *
compat_referent(PyObject *reference)
{
#if PY_VERSION_HEX >= 0x030D0000
    PyObject *object;
    return PyWeakref_GetRef(reference, &object) == 1 ? object : NULL;
#else
    PyObject *object = PyWeakref_GET_OBJECT(reference);
    return object == Py_None ? NULL : Py_NewRef(object);
#endif
}

/* A pending exception, taken before a callback does anything that could set one and put back last. */
typedef struct {
#if PY_VERSION_HEX >= 0x030C0000
    PyObject *raised; /* Owned; NULL when none was pending. */
#else
    PyObject *type;      /* Owned; NULL when none was pending. */
    PyObject *value;     /* Owned or NULL. */
    PyObject *traceback; /* Owned or NULL. */
#endif
} PendingError;

static inline PendingError
take_pending_error(void)
{
    PendingError error;
#if PY_VERSION_HEX >= 0x030C0000
    error.raised = PyErr_GetRaisedException();
#else
    PyErr_Fetch(&error.type, &error.value, &error.traceback);
#endif
    return error;
}

static inline void
put_back_pending_error(PendingError error)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(error.raised);
#else
    PyErr_Restore(error.type, error.value, error.traceback);
#endif
}

static inline void
drop_pending_error(PendingError error)
{
#if PY_VERSION_HEX >= 0x030C0000
    Py_XDECREF(error.raised);
#else
    Py_XDECREF(error.type);
    Py_XDECREF(error.value);
    Py_XDECREF(error.traceback);
#endif
}

/* Return the pending exception, made whole and with its traceback, as a new reference; nothing is pending then. */
static inline PyObject *
compat_take_exception(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback; /* Owned. */
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
    }
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
#endif
}

/* Make `exception`, of which this takes the reference, the pending one. */
static inline void
compat_put_back_exception(PyObject *exception)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(exception);
#else
    PyErr_Restore(Py_NewRef(Py_TYPE(exception)), exception, PyException_GetTraceback(exception));
#endif
}

/* Before 3.13 `frame.f_locals` is a copy of the locals: bring it up to date, and take what was stored there as theirs.
 * The interpreter does so around each call of a trace function. */
static inline int
compat_refresh_locals(PyFrameObject *frame)
{
#if PY_VERSION_HEX >= 0x030D0000
    (void)frame;
    return 0;
#else
    return PyFrame_FastToLocalsWithError(frame);
#endif
}

static inline void
compat_store_locals(PyFrameObject *frame)
{
#if PY_VERSION_HEX >= 0x030D0000
    (void)frame;
#else
    PyFrame_LocalsToFast(frame, 1);
#endif
}

/* On 3.11 the garbage collector, and with it finalisers of the user's, may run in any allocation; later versions run it
 * between instructions only. What must not be interrupted pauses it. */
static inline int
pause_collector(void)
{
    return HAS_MONITORING ? 0 : PyGC_Disable();
}

static inline void
resume_collector(int was_on)
{
    if (was_on) {
        PyGC_Enable();
    }
}

/* Fill `line` with the line of each of `length` code units, -1 for none, and return 1, if the interpreter keeps them ready:
 * it does for code that is traced. */
int compat_kept_lines(PyCodeObject *code, int *line, Py_ssize_t length);

/* True when nothing is left of the locals of `frame`, as of a generator that has been closed; also when it has none. */
int compat_is_cleared(PyFrameObject *frame);

/* Return that of the name among all that a type in C has; NULL for none. */
static inline PyGetSetDef *
compat_find_getset(PyGetSetDef *all, const char *name)
{
    for (; all != NULL && all->name != NULL; all++) {
        if (strcmp(all->name, name) == 0) {
            return all;
        }
    }
    return NULL;
}

/* Types that C code made, and what we put in the place of their functions, are shared by all interpreters, of which ours is
 * the main one. */
static inline int
is_in_main_interpreter(void)
{
    return PyInterpreterState_Get() == PyInterpreterState_Main();
}

/* True when functions share variables with such code: those that it makes, or those around it. */
static inline int
compat_has_cells(const PyCodeObject *code)
{
    return code->co_ncellvars + code->co_nfreevars > 0;
}

/* Return what fast local `index` of `frame` holds, as a new reference; NULL without an exception when it is unbound.
 * For a cell or free variable that is the cell object itself. */
PyObject *compat_fast_local(PyFrameObject *frame, Py_ssize_t index);

/* Return the code, borrowed, of the running frame, and where it is in it, in bytes; NULL when there is no frame. */
PyCodeObject *compat_place(int *offset);

/* Return the stack of the running frame, for compat_stack_item(). */
const uintptr_t *compat_stack(void);

/* The same for `thread`, and where its frame is, as compat_place(); NULL where no Python code is what it runs. */
const uintptr_t *compat_stack_of(PyThreadState *thread, PyCodeObject **code, int *unit);

/* Return what stands in slot `index` of the stack, borrowed; NULL for nothing, or for no object.
 *
 * Only while an event of that frame is handled, or its thread is suspended, and for slots that are in use then. */
static inline PyObject *
compat_stack_item(const uintptr_t *stack, int index)
{
#if PY_VERSION_HEX >= 0x030E0000
    /* The two lowest bits tell how it is held; with both, it is a number and no object. */
    return (stack[index] & 3) == 3 ? NULL : (PyObject *)(stack[index] & ~(uintptr_t)3);
#else
    return (PyObject *)stack[index];
#endif
}

/* The same for the running frame's stack. */
static inline PyObject *
compat_stack_slot(int index)
{
    return compat_stack_item(compat_stack(), index);
}

/* Return what is on top of the running frame's stack, `depth` items deep, as compat_stack_slot(); NULL if `depth` is not
 * known. */
static inline PyObject *
compat_stack_top(int depth)
{
    return depth <= 0 ? NULL : compat_stack_slot(depth - 1);
}

/* Return the frame object of the running Python frame, borrowed; NULL when it has none. Makes none. */
PyFrameObject *compat_running_frame(void);

/* Return the function that `frame` runs, borrowed; NULL when that is not known any more. */
PyObject *compat_frame_function(PyFrameObject *frame);

/* Return where `frame`, when it is no function's, keeps its names, borrowed; NULL for nothing of its own. */
PyObject *compat_frame_namespace(PyFrameObject *frame);

/* Let this thread have `frames` more Python frames before it reaches the recursion limit; negative: take them back. */
void compat_lend_stack(int frames);

/* Let none of the frames that run in this thread now count for the recursion limit. */
void compat_forgive_stack(void);

/* True when functions of other tools are called in this thread between its instructions; `tool` is our id, -1 for none. */
int compat_has_other_tools(long tool);

/* Return what `__call__` is in a class, borrowed; NULL for nothing. Runs no code. */
PyObject *compat_class_call(PyTypeObject *type);

#if HAS_MONITORING
/* Ids that tools can have; those beyond are the interpreter's own. */
#define COMPAT_TOOLS 6

/* Return where the interpreter keeps the callback of a tool for an event, by its number; NULL for a number too high. */
PyObject **compat_callback(int tool, int event);

/* True for an event, by its number, that comes before a frame's code begins; amid an instruction that may have changed
 * data; when a frame is left; and for those of branches. */
int compat_event_begins_frame(int event);
int compat_event_is_amid(int event);
int compat_event_leaves_frame(int event);
int compat_event_is_branch(int event);

/* Return the trace function that a frame has, borrowed; NULL for none. */
PyObject *compat_frame_trace(PyFrameObject *frame);
#endif

/* Return `thread`, which may have ended, if it lives; NULL otherwise. */
PyThreadState *compat_living_thread(const PyThreadState *thread);

/* Have the interpreter run frames by `run`, and return what it has run them by (PEP 523). */
_PyFrameEvalFunction compat_run_frames_by(_PyFrameEvalFunction run);
int compat_frames_are_run_by(_PyFrameEvalFunction run);
/* Return the code of a frame of the interpreter's; borrowed. */
PyCodeObject *compat_code_of(struct _PyInterpreterFrame *frame);

/* Return where the interpreter keeps the id of the thread that began last, alive or not. Ids grow, from 1 on. */
const uint64_t *compat_latest_thread(void);

/* Return where the interpreter counts how often another thread than before has got its lock. */
const unsigned long *compat_switches(void);

/* Return how many of the threads that Python has started run a C function with no Python frame below it. One that does not
 * run yet does not count. */
Py_ssize_t compat_count_c_only(void);
/* Return how many threads that C code has started run no Python code now; 0 before 3.13, which cannot tell. */
Py_ssize_t compat_count_foreign(void);

/* Return the id of this process, and the time in nanoseconds since the epoch. */
long compat_pid(void);
int64_t compat_time_ns(void);

/* True when some frame of `thread` runs Python code: what PyThreadState_GetFrame() makes an object of, given memory. */
int compat_runs_python(PyThreadState *thread);

#if HAS_MONITORING
/* True while an INSTRUCTION event of this thread is handled. */
int compat_is_at_instruction(void);

/* True when the interpreter has other events than INSTRUCTION and LINE for the instruction at `unit` of `code`, which
 * has INSTRUCTION events: it asks only once that event is done which tools want them. */
int compat_has_events(PyCodeObject *code, int unit);

/* Let `code`, whose INSTRUCTION events the tool `tool` has just turned on, keep a table of the tools that want them.
 * -1 with an exception set.
 *
 * CPython makes that table when a second tool comes, and then forgets the first one:
 *
 *     set_local_events(3, f.__code__, INSTRUCTION); sys.settrace(debugger); f()    # no event for tool 3 in f any more
 */
int compat_keep_instruction_tool(PyCodeObject *code, long tool);
#endif

/* A frame as the interpreter runs it; valid while it runs. */
typedef struct _PyInterpreterFrame InterpreterFrame;

/* Where the frame that called the running one is, in code units; NULL when C code called that. Borrowed. */
PyCodeObject *compat_direct_caller(int *unit);

InterpreterFrame *compat_top_frame(void);

/* Return the frame that `frame` stands for; NULL for one that runs no more. */
InterpreterFrame *compat_frame_of(PyFrameObject *frame);

/* Return the code, borrowed, of the next Python frame from *frame on, outwards, where it is in bytes, and move *frame behind
 * it; NULL when there is none. */
PyCodeObject *compat_next_place(InterpreterFrame **frame, int *offset);

/* What the interpreter does between instructions of this thread beside running them, put off. */
typedef struct {
    int is_main;     /* This is the thread in which signals are handled. */
    int has_garbage; /* The garbage collector was about to run. */
} Waiting;

/* Put it off: handlers of signals, pending calls, a collection that is due. It may not be begun twice. */
Waiting compat_begin_wait(void);

/* Let it be done at the next opportunity; but signals that have come meanwhile are found only once there is another one, or
 * compat_handle_signals_soon() is called. */
void compat_end_wait(const Waiting *waiting);

/* Have the signals handled that have come, in the main thread. While a handler runs they are not, and the frame is returned,
 * borrowed, that this one has interrupted: a handler that takes longer than the time between two signals would run again and
 * again, ever deeper. */
PyFrameObject *compat_handle_signals_soon(void);

/* True in the thread in which signals are handled. */
int compat_is_main_thread(void);

/* In a forked child: the thread that had begun to wait is gone. */
void compat_forget_waits(void);

/* The time in which there are no events, as the interpreter handles one. */
typedef struct {
    int is_quiet;
    int what_event;
} Quiet;

/* Let this thread have events, if it has none because one of our callbacks runs (`is_event`), and then none again. */
Quiet compat_end_quiet(int is_event);
void compat_begin_quiet(Quiet quiet);

/* Where a frame stands. */
typedef struct {
    InterpreterFrame *frame; /* NULL for nothing. */
    void *instruction;
    int line;
} Standing;

/* Let `frame`, which runs and whose event we handle, stand at the instruction at `offset` in bytes, until
 * compat_stand_again(): whoever asks for its line is told that one. */
Standing compat_stand_at(PyFrameObject *frame, int offset);
void compat_stand_again(Standing standing);

/* Return what lies `below` entries below the top of the stack, borrowed; NULL for an empty entry, or when it is not known.
 *
 * Only while an event before the frame's next instruction is handled. `depth` is how deep the stack is there, which only
 * 3.12 and 3.13 do not tell themselves. */
PyObject *compat_operand(InterpreterFrame *frame, int depth, int below);

/* Return what `frame` has for a variable, for a shared one the cell object; borrowed, NULL when it is unbound. */
PyObject *compat_variable(InterpreterFrame *frame, Py_ssize_t index);

/* Return the frame object of `frame` if it has one; borrowed. */
PyFrameObject *compat_frame_object(InterpreterFrame *frame);

/* Return the namespaces of `frame`; borrowed, NULL for none. */
PyObject *compat_frame_locals(InterpreterFrame *frame);
PyObject *compat_frame_globals(InterpreterFrame *frame);
PyObject *compat_frame_builtins(InterpreterFrame *frame);

/* Return the dict of an object's attributes if it has one already, borrowed; NULL when not: none is made. */
PyObject *compat_instance_dict(PyObject *object);

/* True when `depth` is needed by compat_operand. */
#define NEEDS_DEPTHS (PY_VERSION_HEX >= 0x030C0000 && PY_VERSION_HEX < 0x030E0000)

/* The callee of a call lies below its `self`; until 3.12 a method does, and NULL below any other callee. */
#define CALLEE_IS_LOWEST (PY_VERSION_HEX >= 0x030D0000)

/* CALL_FUNCTION_EX has an entry for keywords on the stack even where there are none. */
#define ALWAYS_HAS_KEYWORDS (PY_VERSION_HEX >= 0x030E0000)

/* LOAD_CLASSDEREF looks in the frame's namespace, not in one on the stack. */
#define LOOKS_IN_CLASS_ITSELF (PY_VERSION_HEX < 0x030C0000)

/* Have calls of `list.append` go by way of its method, which the interpreter calls directly else; and as before again. */
void compat_forget_list_append(void);
void compat_remember_list_append(void);

#if PY_VERSION_HEX >= 0x030D0000
/* True for the counter of an instruction that never runs down; the counter that new code has. */
int compat_is_unreachable(uint16_t counter);
uint16_t compat_first_counter(void);

/* Let code that was compiled to machine code (JIT) go back to its instructions, which may have changed. */
void compat_forget_compiled(void);
#endif

/* Call `visit` with each object that the garbage collector knows, until it returns 0. It makes and drops no such object. */
void compat_visit_objects(int (*visit)(PyObject *, void *), void *arg);

/* Call `visit` with each object that `object` holds, until it returns something else than 0, as the garbage collector
 * does; return what it has returned last. An object that the collector does not know has no parts: one that is still
 * being made, or a class of static memory, whose metaclass would end the process ("type_traverse() called on non-heap
 * type"). `visit` makes and drops no object: whatever runs meanwhile could change what is visited. */
static inline int
compat_visit_parts(PyObject *object, visitproc visit, void *arg)
{
    return PyObject_GC_IsTracked(object) ? Py_TYPE(object)->tp_traverse(object, visit, arg) : 0;
}

#if HAS_DICT_WATCHERS
/* Return the function that the interpreter calls for a dict watcher id, NULL for none. */
PyDict_WatchCallback compat_dict_watcher(int id);

/* True while changes of `dict` are told to the dict watcher id. */
int compat_is_watched(PyObject *dict, int id);

/* Let changes of `dict` be told to the dict watcher id no more, whoever has that now. */
void compat_unwatch(PyObject *dict, int id);
#endif

/* Return a type's dict, as a new reference. */
static inline PyObject *
compat_type_dict(PyTypeObject *type)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyType_GetDict(type);
#else
    return Py_XNewRef(type->tp_dict);
#endif
}

/* True when looking up an exact str in `dict` compares it with other exact str only. */
int compat_has_only_str_keys(PyObject *dict);

#ifdef STOPWHEN_FAILING
#include STOPWHEN_FAILING /* For tests: failing allocations. */
#endif

/* Return `memory` with room for `count` things of `size` bytes; NULL with an exception set, and `memory` as it was.
 * (PyMem_Resize() would lose it.) */
static inline void *
resize_memory(void *memory, Py_ssize_t count, size_t size)
{
    void *resized = (size_t)count > PY_SSIZE_T_MAX / size ? NULL : PyMem_Realloc(memory, (size_t)count * size);
    return resized == NULL ? PyErr_NoMemory() : resized;
}

/* Return `memory`, which holds `count` things of `size` bytes and has room for `capacity`, with room for one more; NULL with
 * an exception set, and `memory` as it was. */
static inline void *
grow_memory(void *memory, Py_ssize_t count, Py_ssize_t *capacity, size_t size)
{
    if (count < *capacity) {
        return memory;
    }
    Py_ssize_t larger = *capacity == 0 ? 8 : 2 * *capacity;
    void *resized = resize_memory(memory, larger, size);
    *capacity = resized == NULL ? *capacity : larger;
    return resized;
}

#endif
