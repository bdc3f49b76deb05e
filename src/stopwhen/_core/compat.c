/* The few places that read the interpreter's own structures, where no public call of CPython tells what is needed. */
#define Py_BUILD_CORE 1
#include "compat.h"

#if HAS_MONITORING
#include <internal/pycore_instruments.h>
#include <opcode.h>
#endif
#if PY_VERSION_HEX >= 0x030E0000
#include <internal/pycore_interpframe.h>
#endif
#include <internal/pycore_ceval.h>
#include <internal/pycore_code.h>
#include <internal/pycore_dict.h>
#include <internal/pycore_frame.h>
#include <internal/pycore_interp.h>
#include <internal/pycore_object.h>
#if PY_VERSION_HEX >= 0x030D0000
#include <internal/pycore_backoff.h>
#include <internal/pycore_optimizer.h>
#endif
#include <internal/pycore_runtime.h>

#include <time.h>

int
compat_is_cleared(PyFrameObject *frame)
{
    assert(PyFrame_Check((PyObject *)frame));
#if PY_VERSION_HEX >= 0x030E0000
    return frame->f_frame->stackpointer == frame->f_frame->localsplus;
#else
    return frame->f_frame->stacktop == 0;
#endif
}

PyObject *
compat_fast_local(PyFrameObject *frame, Py_ssize_t index)
{
    if (compat_is_cleared(frame)) {
        return NULL; /* What was there is given back, but stands there still. */
    }
#if PY_VERSION_HEX >= 0x030E0000
    _PyStackRef local = frame->f_frame->localsplus[index];
    return PyStackRef_IsNull(local) ? NULL : PyStackRef_AsPyObjectNew(local);
#else
    return Py_XNewRef(frame->f_frame->localsplus[index]);
#endif
}

int
compat_kept_lines(PyCodeObject *code, int *line, Py_ssize_t length)
{
#if HAS_MONITORING
    (void)code, (void)line, (void)length;
    return 0;
#else
    if (code->_co_linearray == NULL) {
        return 0;
    }
    for (int unit = 0; unit < length; unit++) {
        line[unit] = _PyCode_LineNumberFromArray(code, unit);
    }
    return 1;
#endif
}

static _PyInterpreterFrame *
current_frame_of(PyThreadState *thread)
{
#if PY_VERSION_HEX >= 0x030D0000
    return thread->current_frame;
#else
    return thread->cframe->current_frame;
#endif
}

static _PyInterpreterFrame *
current_frame(void)
{
    return current_frame_of(PyThreadState_Get());
}

/* True when the frame runs Python code, and is not the interpreter's own between C and Python. */
static int
runs_code(const _PyInterpreterFrame *frame)
{
    return frame->owner == FRAME_OWNED_BY_THREAD || frame->owner == FRAME_OWNED_BY_GENERATOR;
}

static PyCodeObject *
code_of(_PyInterpreterFrame *frame)
{
#if PY_VERSION_HEX >= 0x030D0000
    return _PyFrame_GetCode(frame);
#else
    return frame->f_code;
#endif
}

PyCodeObject *
compat_code_of(_PyInterpreterFrame *frame)
{
    return code_of(frame);
}

/* Not by `_PyInterpreterState_SetEvalFrameFunc`, which throws away all that the JIT has compiled: of that, too, frames that
 * C code begins are run so. */
_PyFrameEvalFunction
compat_run_frames_by(_PyFrameEvalFunction run)
{
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    _PyFrameEvalFunction before = _PyInterpreterState_GetEvalFrameFunc(interpreter);
    interpreter->eval_frame = run == _PyEval_EvalFrameDefault ? NULL : run;
    return before;
}

int
compat_frames_are_run_by(_PyFrameEvalFunction run)
{
    return _PyInterpreterState_GetEvalFrameFunc(PyInterpreterState_Get()) == run;
}

PyCodeObject *
compat_place(int *offset)
{
    _PyInterpreterFrame *frame = current_frame();
    while (frame != NULL && !runs_code(frame)) {
        frame = frame->previous;
    }
    if (frame == NULL) {
        return NULL;
    }
    int unit = (int)_PyInterpreterFrame_LASTI(frame);
    *offset = unit < 0 ? 0 : unit * (int)sizeof(_Py_CODEUNIT);
    return code_of(frame);
}

PyCodeObject *
compat_direct_caller(int *unit)
{
    _PyInterpreterFrame *frame = current_frame();
    frame = frame == NULL ? NULL : frame->previous;
    if (frame == NULL || !runs_code(frame)) {
        return NULL;
    }
    *unit = (int)_PyInterpreterFrame_LASTI(frame);
    return code_of(frame);
}

const uintptr_t *
compat_stack(void)
{
    _PyInterpreterFrame *frame = current_frame();
    assert(runs_code(frame));
    static_assert(sizeof(frame->localsplus[0]) == sizeof(uintptr_t), "an item of the stack is a pointer, or like one");
    return (const uintptr_t *)&frame->localsplus[code_of(frame)->co_nlocalsplus];
}

const uintptr_t *
compat_stack_of(PyThreadState *thread, PyCodeObject **code, int *unit)
{
    _PyInterpreterFrame *frame = current_frame_of(thread);
    if (frame == NULL || !runs_code(frame) || _PyFrame_IsIncomplete(frame)) {
        return NULL;
    }
    *code = code_of(frame);
    *unit = (int)_PyInterpreterFrame_LASTI(frame);
    return (const uintptr_t *)&frame->localsplus[(*code)->co_nlocalsplus];
}

PyFrameObject *
compat_running_frame(void)
{
    _PyInterpreterFrame *frame = current_frame();
    while (frame != NULL && _PyFrame_IsIncomplete(frame)) {
        frame = frame->previous;
    }
    return frame == NULL ? NULL : frame->frame_obj;
}

PyObject *
compat_frame_function(PyFrameObject *frame)
{
    _PyInterpreterFrame *data = frame->f_frame;
#if PY_VERSION_HEX >= 0x030E0000
    return PyStackRef_IsNull(data->f_funcobj) ? NULL : PyStackRef_AsPyObjectBorrow(data->f_funcobj);
#elif PY_VERSION_HEX >= 0x030C0000
    return data->f_funcobj;
#else
    return (PyObject *)data->f_func;
#endif
}

PyObject *
compat_frame_namespace(PyFrameObject *frame)
{
    return frame->f_frame->f_locals;
}

void
compat_lend_stack(int frames)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyThreadState_Get()->py_recursion_remaining += frames;
#else
    PyThreadState_Get()->recursion_remaining += frames;
#endif
}

void
compat_forgive_stack(void)
{
    PyThreadState *thread = PyThreadState_Get();
#if PY_VERSION_HEX >= 0x030C0000
    thread->py_recursion_remaining = thread->py_recursion_limit;
#else
    thread->recursion_remaining = thread->recursion_limit;
#endif
}

int
compat_runs_python(PyThreadState *thread)
{
    _PyInterpreterFrame *frame = current_frame_of(thread);
    while (frame != NULL && _PyFrame_IsIncomplete(frame)) {
        frame = frame->previous;
    }
    return frame != NULL;
}

int
compat_has_other_tools(long tool)
{
    PyThreadState *thread = PyThreadState_Get();
#if HAS_MONITORING
    for (long i = 0; i < PY_MONITORING_TOOL_IDS; i++) {
        if (i != tool && thread->interp->monitoring_tool_names[i] != NULL) {
            return 1;
        }
    }
    return thread->c_tracefunc != NULL || thread->c_profilefunc != NULL;
#else
    (void)tool;
    return thread->c_profilefunc != NULL; /* After that of a trace function we look again (tracing.c). */
#endif
}

PyObject *
compat_class_call(PyTypeObject *type)
{
    PyObject *name = PyUnicode_InternFromString("__call__");
    PyObject *found = name == NULL ? NULL : _PyType_Lookup(type, name);
    Py_XDECREF(name);
    PyErr_Clear();
    return found;
}

#if HAS_MONITORING
PyObject **
compat_callback(int tool, int event)
{
    return event < _PY_MONITORING_EVENTS ? &PyInterpreterState_Main()->monitoring_callables[tool][event] : NULL;
}

int
compat_event_begins_frame(int event)
{
    return event == PY_MONITORING_EVENT_PY_START || event == PY_MONITORING_EVENT_PY_RESUME ||
           event == PY_MONITORING_EVENT_PY_THROW;
}

int
compat_event_is_branch(int event)
{
#ifdef PY_MONITORING_EVENT_BRANCH_LEFT
    return event == PY_MONITORING_EVENT_BRANCH || event == PY_MONITORING_EVENT_BRANCH_LEFT ||
           event == PY_MONITORING_EVENT_BRANCH_RIGHT;
#else
    return event == PY_MONITORING_EVENT_BRANCH;
#endif
}

int
compat_event_is_amid(int event)
{
    switch (event) {
    case PY_MONITORING_EVENT_STOP_ITERATION:
    case PY_MONITORING_EVENT_RAISE:
    case PY_MONITORING_EVENT_RERAISE:
    case PY_MONITORING_EVENT_EXCEPTION_HANDLED:
    case PY_MONITORING_EVENT_PY_UNWIND:
    case PY_MONITORING_EVENT_C_RETURN:
    case PY_MONITORING_EVENT_C_RAISE:
        return 1;
    default:
        return compat_event_is_branch(event); /* The iterator of a loop has run. */
    }
}

int
compat_event_leaves_frame(int event)
{
    return event == PY_MONITORING_EVENT_PY_RETURN || event == PY_MONITORING_EVENT_PY_YIELD ||
           event == PY_MONITORING_EVENT_PY_UNWIND;
}

PyObject *
compat_frame_trace(PyFrameObject *frame)
{
    return frame->f_trace;
}
#endif

/* Which thread the main one is, while the interpreter is not to know; 0 while it does. */
static unsigned long main_thread_kept;

#if PY_VERSION_HEX >= 0x030D0000
static int
put_off_garbage(void)
{
    PyThreadState *me = PyThreadState_Get();
    int is_due = _Py_eval_breaker_bit_is_set(me, _PY_GC_SCHEDULED_BIT);
    _Py_unset_eval_breaker_bit(me, _PY_GC_SCHEDULED_BIT);
    return is_due;
}

static void
collect_garbage_soon(void)
{
    _Py_set_eval_breaker_bit(PyThreadState_Get(), _PY_GC_SCHEDULED_BIT);
}

static void
handle_signals_soon(void)
{
    _Py_set_eval_breaker_bit(PyThreadState_Get(), _PY_SIGNALS_PENDING_BIT | _PY_CALLS_TO_DO_BIT);
}
#else
static int
put_off_garbage(void)
{
#if HAS_MONITORING
    struct _ceval_state *evaluation = &PyInterpreterState_Get()->ceval;
    int is_due = _Py_atomic_load_relaxed(&evaluation->gc_scheduled);
    _Py_atomic_store_relaxed(&evaluation->gc_scheduled, 0);
    return is_due;
#else
    return 0; /* It runs in allocations only. */
#endif
}

static void
collect_garbage_soon(void)
{
#if HAS_MONITORING
    struct _ceval_state *evaluation = &PyInterpreterState_Get()->ceval;
    _Py_atomic_store_relaxed(&evaluation->gc_scheduled, 1);
    _Py_atomic_store_relaxed(&evaluation->eval_breaker, 1);
#endif
}

static void
handle_signals_soon(void)
{
    struct _ceval_state *evaluation = &PyInterpreterState_Get()->ceval;
    _Py_atomic_store_relaxed(&_PyRuntime.ceval.signals_pending, 1);
    _Py_atomic_store_relaxed(&evaluation->pending.calls_to_do, 1);
    _Py_atomic_store_relaxed(&evaluation->eval_breaker, 1);
}
#endif

/* True when `local`, which `frame` was called with, is the frame `interrupted`, or a tuple or a shared variable that has it. */
static int
leads_to_frame(PyObject *local, PyFrameObject *interrupted)
{
    if (local != NULL && PyCell_Check(local)) {
        local = PyCell_GET(local);
    }
    for (Py_ssize_t i = 0; local != NULL && PyTuple_CheckExact(local) && i < PyTuple_GET_SIZE(local); i++) {
        if (PyTuple_GET_ITEM(local, i) == (PyObject *)interrupted) {
            return 1;
        }
    }
    return local == (PyObject *)interrupted;
}

static int
is_called_by_c_code(const _PyInterpreterFrame *frame)
{
#if HAS_MONITORING
    return frame->previous != NULL && !runs_code(frame->previous);
#else
    return frame->is_entry;
#endif
}

/* The interpreter calls the handler of a signal with the frame that it interrupts. */
static PyFrameObject *
interrupted_frame(void)
{
    _PyInterpreterFrame *frame = current_frame();
    while (frame != NULL) {
        _PyInterpreterFrame *caller = frame->previous;
        while (caller != NULL && !runs_code(caller)) {
            caller = caller->previous;
        }
        if (caller != NULL && caller->frame_obj != NULL && runs_code(frame) && is_called_by_c_code(frame)) {
            PyCodeObject *code = code_of(frame);
            int count = code->co_argcount + code->co_kwonlyargcount + ((code->co_flags & CO_VARARGS) != 0);
            for (int i = 0; i < count; i++) {
                if (leads_to_frame(compat_variable(frame, i), caller->frame_obj)) {
                    return caller->frame_obj;
                }
            }
        }
        frame = caller;
    }
    return NULL;
}

int
compat_is_main_thread(void)
{
    return _PyRuntime.main_thread == PyThread_get_thread_ident();
}

PyFrameObject *
compat_handle_signals_soon(void)
{
    PyFrameObject *interrupted = interrupted_frame();
    if (interrupted == NULL) {
        handle_signals_soon();
    }
    return interrupted;
}

Waiting
compat_begin_wait(void)
{
    unsigned long me = PyThread_get_thread_ident();
    Waiting waiting = {.is_main = _PyRuntime.main_thread == me, .has_garbage = put_off_garbage()};
    if (waiting.is_main) {
        /* Signals are noted in any thread, but handled in the main one alone. No other thread takes itself for that. */
        main_thread_kept = me;
        _PyRuntime.main_thread = 0;
    }
    return waiting;
}

void
compat_end_wait(const Waiting *waiting)
{
    if (waiting->is_main) {
        _PyRuntime.main_thread = PyThread_get_thread_ident();
        main_thread_kept = 0;
    }
    if (waiting->has_garbage) {
        collect_garbage_soon();
    }
}

void
compat_forget_waits(void)
{
    main_thread_kept = 0; /* The interpreter has named a new main thread. */
}

Quiet
compat_end_quiet(int is_event)
{
    PyThreadState *me = PyThreadState_Get();
    Quiet quiet = {.is_quiet = is_event && me->tracing == 1};
    if (quiet.is_quiet) {
        PyThreadState_LeaveTracing(me);
#if HAS_MONITORING
        quiet.what_event = me->what_event;
        me->what_event = -1;
#endif
    }
    return quiet;
}

void
compat_begin_quiet(Quiet quiet)
{
    if (quiet.is_quiet) {
        PyThreadState *me = PyThreadState_Get();
#if HAS_MONITORING
        me->what_event = quiet.what_event;
#endif
        PyThreadState_EnterTracing(me);
    }
}

Standing
compat_stand_at(PyFrameObject *frame, int offset)
{
    _PyInterpreterFrame *data = frame->f_frame;
    Standing standing = {.frame = data, .line = frame->f_lineno};
    int distance = offset / (int)sizeof(_Py_CODEUNIT) - (int)_PyInterpreterFrame_LASTI(data);
    frame->f_lineno = 0;
#if PY_VERSION_HEX >= 0x030D0000
    standing.instruction = data->instr_ptr;
    data->instr_ptr += distance;
#else
    standing.instruction = data->prev_instr;
    data->prev_instr += distance;
#endif
    return standing;
}

void
compat_stand_again(Standing standing)
{
    if (standing.frame != NULL) {
        standing.frame->frame_obj->f_lineno = standing.line;
#if PY_VERSION_HEX >= 0x030D0000
        standing.frame->instr_ptr = standing.instruction;
#else
        standing.frame->prev_instr = standing.instruction;
#endif
    }
}

PyThreadState *
compat_living_thread(const PyThreadState *thread)
{
    PyThreadState *one = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    while (one != NULL && one != thread) {
        one = PyThreadState_Next(one);
    }
    return one;
}

const uint64_t *
compat_latest_thread(void)
{
    return &PyInterpreterState_Main()->threads.next_unique_id;
}

const unsigned long *
compat_switches(void)
{
#if HAS_MONITORING
    return &PyInterpreterState_Get()->ceval.gil->switch_number;
#else
    return &_PyRuntime.ceval.gil.switch_number;
#endif
}

Py_ssize_t
compat_count_c_only(void)
{
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    unsigned long main = main_thread_kept != 0 ? main_thread_kept : _PyRuntime.main_thread;
    Py_ssize_t with_frames = 0;
    PyThreadState *thread = PyInterpreterState_ThreadHead(interpreter);
    for (; thread != NULL; thread = PyThreadState_Next(thread)) {
        with_frames += thread->thread_id != main && compat_runs_python(thread);
    }
    return (Py_ssize_t)interpreter->threads.count - with_frames;
}

#if PY_VERSION_HEX >= 0x030F0000
#define WHENCE_GILSTATE _PyThreadState_WHENCE_C_API
#elif PY_VERSION_HEX >= 0x030D0000
#define WHENCE_GILSTATE _PyThreadState_WHENCE_GILSTATE
#endif

Py_ssize_t
compat_count_foreign(void)
{
    Py_ssize_t count = 0;
#if PY_VERSION_HEX >= 0x030D0000
    PyThreadState *thread = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    for (; thread != NULL; thread = PyThreadState_Next(thread)) {
        count += thread->_whence == WHENCE_GILSTATE && !compat_runs_python(thread);
    }
#endif
    return count;
}

#if HAS_MONITORING
int
compat_is_at_instruction(void)
{
    return PyThreadState_Get()->what_event == PY_MONITORING_EVENT_INSTRUCTION;
}

int
compat_has_events(PyCodeObject *code, int unit)
{
    _PyCoMonitoringData *data = code->_co_monitoring;
    return data != NULL && data->per_instruction_opcodes != NULL &&
           data->per_instruction_opcodes[unit] >= MIN_INSTRUMENTED_OPCODE;
}

int
compat_keep_instruction_tool(PyCodeObject *code, long tool)
{
    _PyCoMonitoringData *data = code->_co_monitoring;
    if (data == NULL || data->per_instruction_tools != NULL) {
        return 0;
    }
    /* Freed with the code, by PyMem_Free. Where an event is disabled it does no harm that the table has the tool. */
    data->per_instruction_tools = PyMem_Malloc((size_t)Py_SIZE(code));
    if (data->per_instruction_tools == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memset(data->per_instruction_tools, 1 << tool, (size_t)Py_SIZE(code));
    return 0;
}
#endif

void
compat_visit_objects(int (*visit)(PyObject *, void *), void *arg)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyUnstable_GC_VisitObjects(visit, arg);
#else
    struct _gc_runtime_state *collector = &PyInterpreterState_Get()->gc;
    for (int i = 0; i < NUM_GENERATIONS; i++) {
        PyGC_Head *head = &collector->generations[i].head;
        for (PyGC_Head *one = _PyGCHead_NEXT(head); one != head; one = _PyGCHead_NEXT(one)) {
            if (!visit((PyObject *)(one + 1), arg)) {
                return;
            }
        }
    }
#endif
}

#if HAS_DICT_WATCHERS
PyDict_WatchCallback
compat_dict_watcher(int id)
{
    return PyInterpreterState_Get()->dict_state.watchers[id];
}

static uint64_t *
watcher_tag(PyObject *dict)
{
    assert(PyDict_Check(dict));
#if PY_VERSION_HEX >= 0x030E0000
    return &((PyDictObject *)dict)->_ma_watcher_tag;
#else
    return &((PyDictObject *)dict)->ma_version_tag; /* Its low bits. */
#endif
}

int
compat_is_watched(PyObject *dict, int id)
{
    return (*watcher_tag(dict) >> id & 1) != 0;
}

void
compat_unwatch(PyObject *dict, int id)
{
    *watcher_tag(dict) &= ~((uint64_t)1 << id);
}
#endif

int
compat_has_only_str_keys(PyObject *dict)
{
    assert(PyDict_Check(dict));
    return DK_IS_UNICODE(((PyDictObject *)dict)->ma_keys);
}

InterpreterFrame *
compat_top_frame(void)
{
    return current_frame();
}

InterpreterFrame *
compat_frame_of(PyFrameObject *frame)
{
    return frame->f_frame;
}

PyCodeObject *
compat_next_place(InterpreterFrame **next, int *offset)
{
    _PyInterpreterFrame *frame = *next;
    while (frame != NULL && _PyFrame_IsIncomplete(frame)) {
        frame = frame->previous;
    }
    if (frame == NULL) {
        return NULL;
    }
    *next = frame->previous;
    int unit = (int)_PyInterpreterFrame_LASTI(frame);
    *offset = unit < 0 ? -1 : unit * (int)sizeof(_Py_CODEUNIT);
    return code_of(frame);
}

#if PY_VERSION_HEX >= 0x030E0000
static PyObject *
object_of(_PyStackRef entry)
{
    /* A number with a tag is no reference. */
    return PyStackRef_IsNull(entry) || PyStackRef_IsTaggedInt(entry) ? NULL : PyStackRef_AsPyObjectBorrow(entry);
}
#endif

PyObject *
compat_operand(InterpreterFrame *frame, int depth, int below)
{
#if PY_VERSION_HEX >= 0x030E0000
    (void)depth;
    if (frame->stackpointer == NULL || frame->stackpointer - 1 - below < _PyFrame_Stackbase(frame)) {
        return NULL;
    }
    return object_of(frame->stackpointer[-1 - below]);
#elif HAS_MONITORING
    return depth <= below ? NULL : _PyFrame_Stackbase(frame)[depth - 1 - below];
#else
    (void)depth;
    Py_ssize_t place = (Py_ssize_t)frame->stacktop - 1 - below;
    return place < frame->f_code->co_nlocalsplus ? NULL : frame->localsplus[place];
#endif
}

PyObject *
compat_variable(InterpreterFrame *frame, Py_ssize_t index)
{
#if PY_VERSION_HEX >= 0x030E0000
    return object_of(frame->localsplus[index]);
#else
    return frame->localsplus[index];
#endif
}

PyFrameObject *
compat_frame_object(InterpreterFrame *frame)
{
    return frame->frame_obj;
}

PyObject *
compat_frame_locals(InterpreterFrame *frame)
{
    return frame->f_locals;
}

PyObject *
compat_frame_globals(InterpreterFrame *frame)
{
    return frame->f_globals;
}

PyObject *
compat_frame_builtins(InterpreterFrame *frame)
{
    return frame->f_builtins;
}

PyObject *
compat_instance_dict(PyObject *object)
{
    if (!(Py_TYPE(object)->tp_flags & Py_TPFLAGS_MANAGED_DICT)) {
        PyObject **place = _PyObject_GetDictPtr(object);
        return place == NULL ? NULL : *place;
    }
#if PY_VERSION_HEX >= 0x030D0000
    return (PyObject *)_PyObject_ManagedDictPointer(object)->dict;
#elif HAS_MONITORING
    PyDictOrValues attributes = *_PyObject_DictOrValuesPointer(object);
    return _PyDictOrValues_IsValues(attributes) ? NULL : _PyDictOrValues_GetDict(attributes);
#else
    return *_PyObject_ValuesPointer(object) != NULL ? NULL : *_PyObject_ManagedDictPointer(object);
#endif
}

#ifdef MS_WINDOWS
#include <process.h>

long
compat_pid(void)
{
    return (long)_getpid();
}
#else
#include <unistd.h>

long
compat_pid(void)
{
    return (long)getpid();
}
#endif

int64_t
compat_time_ns(void)
{
    struct timespec now;
    (void)timespec_get(&now, TIME_UTC);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static PyObject *list_append; /* Borrowed from the type. */

void
compat_forget_list_append(void)
{
    struct callable_cache *cache = &PyInterpreterState_Get()->callable_cache;
    list_append = cache->list_append == NULL ? list_append : cache->list_append;
    cache->list_append = NULL;
}

void
compat_remember_list_append(void)
{
    struct callable_cache *cache = &PyInterpreterState_Get()->callable_cache;
    cache->list_append = cache->list_append == NULL ? list_append : cache->list_append;
}

#if PY_VERSION_HEX >= 0x030D0000
int
compat_is_unreachable(uint16_t counter)
{
#if PY_VERSION_HEX >= 0x030F0000
    return (counter & BACKOFF_MASK) == UNREACHABLE_BACKOFF;
#elif PY_VERSION_HEX >= 0x030E0000
    return (counter & ((1 << BACKOFF_BITS) - 1)) == UNREACHABLE_BACKOFF;
#else
    return counter == UNREACHABLE_BACKOFF;
#endif
}

uint16_t
compat_first_counter(void)
{
    _Py_BackoffCounter counter = adaptive_counter_warmup();
    uint16_t number;
    memcpy(&number, &counter, sizeof(number));
    return number;
}

void
compat_forget_compiled(void)
{
#ifdef _Py_TIER2
    _Py_Executors_InvalidateAll(PyInterpreterState_Get(), 1);
#endif
}
#endif
