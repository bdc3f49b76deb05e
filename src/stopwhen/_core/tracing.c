/* Recheck on a C trace function, for 3.11, which has no sys.monitoring: compares the checks at every event of every
 * thread and passes the event on to the trace function that was there before.
 *
 * I1. `position` of a thread is the instruction that it has begun since its last event. Where a line holds several
 *     stores, or calls by the name of a function that changes data, opcode events are on for its frame, and the
 *     position is that one instruction. Elsewhere it is the line's start, and the culprit is the one instruction with
 *     an effect on that line, or one of several calls (codeinfo.c, I2).
 *     Opcode events are on as well where a line may make a C function that is bound to data, everywhere while there are
 *     such (hooks.c), and where a line has an effect and then lets another thread run; and for the rest of a line that has
 *     done something which is to be handled before its next instruction (tracing_stop_after).
 * I2. A thread's trace object stays the program's own, so sys.gettrace() answers as without us.
 * I3. New threads stand at the head of the interpreter's list: when the head changes, some thread is not traced yet.
 *     Those that Python code starts by name are traced before they run (threads.c).
 */
#define Py_BUILD_CORE 1
#include "clock.h"
#include "codeinfo.h"
#include "crowd.h"
#include "frames.h"
#include "instances.h"
#include "large.h"
#include "quick.h"
#include "sites.h"
#include "tools.h"

#if !HAS_MONITORING

#include <internal/pycore_frame.h>
#include <opcode.h>

#define MOST_KEPT 4

struct Traced {
    PyThreadState *thread;         /* Borrowed; compared with the living ones before it is followed. */
    uint64_t id;                   /* Its id: another one may come to lie at the same address. */
    Py_tracefunc previous;         /* The program's own trace function, NULL for none. */
    const PyCodeObject *code;      /* Never followed: position (I1); NULL when unknown. */
    int offset;                    /* In bytes. */
    int exact;                     /* The position is one instruction. */
    const PyCodeObject *begun;     /* Never followed: whose line has events of lines only, see tracing_begin_line. */
    int uses;                      /* Running calls of the trace function in that thread. */
    int dropped;                   /* Off the list: the last of these calls frees it. */
    PyObject *kept[MOST_KEPT];     /* Owned: see keep_operands(). */
    int kept_count;
};

/* What `f_trace_opcodes` of a frame is when opcode events are on for our sake alone; the program sets it to 0 or 1. */
#define OPCODES_FOR_US 2

static int tracer(PyObject *object, PyFrameObject *frame, int what, PyObject *argument);

static Traced *
traced_of(CoreState *state, PyThreadState *thread)
{
    for (Py_ssize_t i = 0; i < state->traced_count; i++) {
        if (state->traced[i]->thread == thread && state->traced[i]->id == thread->id) {
            return state->traced[i];
        }
    }
    return NULL;
}

static int
set_trace(PyThreadState *thread, Py_tracefunc function)
{
    PyObject *object = Py_XNewRef(thread->c_traceobj); /* I2 */
    int result = _PyEval_SetTrace(thread, function, object);
    Py_XDECREF(object);
    return result;
}

static Traced *
add_traced(CoreState *state, PyThreadState *thread)
{
    Traced **list = resize_memory(state->traced, state->traced_count + 1, sizeof(Traced *));
    Traced *traced = PyMem_Calloc(1, sizeof(Traced));
    if (list != NULL) {
        state->traced = list;
    }
    if (list == NULL || traced == NULL) {
        PyMem_Free(traced);
        PyErr_NoMemory();
        return NULL;
    }
    traced->thread = thread;
    traced->id = thread->id;
    list[state->traced_count++] = traced;
    return traced;
}

static int
is_alive(const Traced *traced)
{
    PyThreadState *thread = compat_living_thread(traced->thread);
    return thread != NULL && thread->id == traced->id;
}

/* Let go of what keep_operands() has kept. May run code of the user's. */
static void
let_go(Traced *traced)
{
    PyObject *kept[MOST_KEPT];
    int count = traced->kept_count;
    if (count > 0) {
        PendingError error = take_pending_error();
        memcpy(kept, traced->kept, sizeof(kept));
        traced->kept_count = 0;
        while (count > 0) {
            Py_DECREF(kept[--count]);
        }
        put_back_pending_error(error);
    }
}

static void
drop_traced(CoreState *state, Py_ssize_t index)
{
    Traced *traced = state->traced[index];
    state->traced[index] = state->traced[--state->traced_count];
    traced->dropped = 1;
    traced->uses++;
    let_go(traced);
    traced->uses--;
    if (traced->uses == 0) {
        PyMem_Free(traced);
    }
}

static void
drop_dead(CoreState *state)
{
    for (Py_ssize_t i = state->traced_count; i-- > 0;) {
        if (!is_alive(state->traced[i])) {
            drop_traced(state, i);
        }
    }
}

/* Put our trace function on every thread that lacks it, keeping the one that it has to pass events on to. */
static int
trace_all(CoreState *state)
{
    state->installing = 1;
    int result = 0;
    drop_dead(state);
    if (compat_living_thread(state->setting_thread) == NULL) {
        state->setting_thread = NULL;
    }
    PyThreadState *head = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    for (PyThreadState *thread = head; thread != NULL && result == 0; thread = PyThreadState_Next(thread)) {
        if (thread->c_tracefunc == tracer) {
            continue;
        }
        Traced *traced = traced_of(state, thread);
        if (traced == NULL) {
            traced = add_traced(state, thread);
        }
        if (traced == NULL) {
            result = -1;
            break;
        }
        traced->previous = thread->c_tracefunc;
        result = set_trace(thread, tracer);
    }
    state->thread_head = result < 0 ? NULL : head; /* I3; NULL: try again. */
    state->several_threads |= head != NULL && PyThreadState_Next(head) != NULL;
    if (result == 0) {
        threads_update(state);
    }
    state->installing = 0;
    return result;
}

/* The running `thread` is about to run a frame, or has set a trace function: have it traced, if it is not. -1 with an
 * exception set. */
int
tracing_see_thread(CoreState *state, const PyThreadState *thread)
{
    int is_set = state->setting_thread == thread;
    if (thread->c_tracefunc == tracer && !is_set) {
        return 0;
    }
    state->setting_thread = is_set ? NULL : state->setting_thread;
    return trace_all(state);
}

/* True when somebody else traces some thread. */
int
tracing_is_shared(const CoreState *state)
{
    for (Py_ssize_t i = 0; i < state->traced_count; i++) {
        if (state->traced[i]->previous != NULL) {
            return 1;
        }
    }
    return 0;
}

static int
trace_all_later(void *Py_UNUSED(unused))
{
    CoreState *state = state_for_callback();
    if (state != NULL && state->tracing && is_in_main_interpreter() && trace_all(state) < 0) {
        PyErr_Clear();
    }
    return 0;
}

/* This thread sets a trace function: once that is done, put ours before it again. `sys.settrace` does so at once
 * (settrace.c); for code in C, the thread's next frame does, the next event of any thread, or the main thread. */
static int
on_audit(const char *event, PyObject *Py_UNUSED(args), void *Py_UNUSED(data))
{
    if (event[0] == 's' && strcmp(event, "sys.settrace") == 0) {
        CoreState *state = state_for_callback();
        if (state != NULL && state->tracing && !state->installing && is_in_main_interpreter()) {
            state->thread_head = NULL; /* I3 */
            state->setting_thread = PyThreadState_Get();
            threads_update(state);
            (void)Py_AddPendingCall(trace_all_later, NULL);
        }
    }
    return 0;
}

static int
effects_of_interest(CoreState *state, const CodeInfo *info)
{
    return state->level | (code_has_locals(info) ? EFFECT_LOCAL : 0) | (state->hooked ? EFFECT_HOOKS : 0);
}

static Py_ssize_t
unit_behind(const CodeInfo *info, Py_ssize_t unit)
{
    do {
        unit++;
    } while (unit < info->length && (info->effect[unit] & EFFECT_CACHE));
    return unit;
}

/* True when a check is due after the instruction at `unit` for the sake of one of `interest`. */
static int
is_checked(const CodeInfo *info, Py_ssize_t unit, int interest)
{
    if (!(info->effect[unit] & interest) || (info->effect[unit] & EFFECT_CACHE)) {
        return 0;
    }
    Py_ssize_t next = unit_behind(info, unit);
    return next >= info->length || info->culprit[next] == unit;
}

/* True when the instruction stores something itself: a second one on its line may undo that. */
static int
is_direct(const CodeInfo *info, Py_ssize_t unit)
{
    Py_ssize_t next = unit_behind(info, unit);
    int has_store = next < info->length && !(info->due[next] & EFFECT_PLAIN); /* It can wait for that (codeinfo.c). */
    return (info->effect[unit] & EFFECT_DIRECT) || ((info->effect[unit] & EFFECT_INPLACE) && !has_store);
}

static int
makes_function(const CodeInfo *info, Py_ssize_t unit)
{
    Py_ssize_t next = unit_behind(info, unit);
    return (info->effect[unit] & EFFECT_MAKES) && next < info->length && (info->due[next] & DUE_RESULT);
}

/* Return the first unit from `unit` on, on the same line, after whose instruction a check is due; -1 for none. */
static int
checked_on_line(CoreState *state, const CodeInfo *info, int unit)
{
    int line = info->line[unit];
    for (Py_ssize_t i = unit; i < info->length && info->line[i] == line; i++) {
        if (is_checked(info, i, effects_of_interest(state, info))) {
            return (int)i;
        }
    }
    return -1;
}

/* In `grain_interest`: there are large contents, so what each instruction takes matters (large.c). */
#define LARGE_INTEREST 0x10000
/* There are several threads. */
#define THREADS_INTEREST 0x20000
/* Instances of classes are watched, which an instruction may end that stores to one. */
#define CLASSES_INTEREST 0x40000
/* What is taken matters on each line. */
#define TAKEN_INTEREST 0x80000

#define GRAIN_LINE 1
#define GRAIN_LINE_OF_SEVERAL 2
#define GRAIN_OPCODE 3
/* As GRAIN_OPCODE for once, for what instructions take. The next time as GRAIN_LINE, or of several, unless some dict has been
 * stored to. */
#define GRAIN_TRIAL 4
#define GRAIN_TRIAL_OF_SEVERAL 5

static int
is_trial(int grain)
{
    return grain == GRAIN_TRIAL || grain == GRAIN_TRIAL_OF_SEVERAL;
}

/* True when it matters what each instruction takes. While all of a crowd compare dicts, it does on lines that store to some. */
static int
operands_matter(const CoreState *state)
{
    return state->large_count > (crowd_is_of_dicts(state) ? state->crowd_is_large : 0);
}

/* Find out how fine events must be on the line that starts at `unit` (I1). */
static Py_NO_INLINE int
find_grain(CoreState *state, const CodeInfo *info, Py_ssize_t unit, int interest, int has_sites)
{
    int checked = 0;
    int direct = 0;
    int returns = 0;
    int makes = 0;
    int sites = 0;
    int stores = 0;
    int jumps_back = 0;
    for (Py_ssize_t i = 0; i < info->length; i++) {
        if (info->line[i] != info->line[unit]) {
            continue;
        }
        int opcode = _Py_OPCODE(_PyCode_CODE(info->code)[i]);
        if (is_checked(info, i, interest)) {
            checked++;
            direct += is_direct(info, i);
            stores += (info->effect[i] & (EFFECT_STORE | EFFECT_LOCAL)) == EFFECT_STORE;
        }
        makes |= makes_function(info, i);
        sites |= has_sites && info->sites->matters[i];
        returns |= opcode == RETURN_VALUE;
        jumps_back |= opcode == JUMP_BACKWARD_QUICK || (state->jump_kind[opcode] & JUMP_BACK) != 0;
    }
    int fine = sites || (operands_matter(state) && checked > 0) || direct > 1 || makes ||
               (checked > 1 && (state->hooked || code_line_names(info, unit, NAMES_MUTATOR)));
    /* The jump may let another thread run: it must find nothing but what it has done itself. */
    fine |= jumps_back && checked > 0 && state->several_threads;
    fine |= state->classes.count > 0 && direct > 0 && checked > 1;
    /* What an action raises at the event of the return, no `try` of this frame would catch. */
    fine |= returns && checked > 0 && PyBytes_GET_SIZE(info->code->co_exceptiontable) > 0;
    /* Whether these store to a dict may be another thing each time. */
    fine |= state->large_count > 0 && (stores > 0 || (checked > 0 && code_line_names(info, unit, NAMES_MUTATOR)));
    if (!fine && state->large_count > 0 && checked > 0) {
        return checked > 1 ? GRAIN_TRIAL_OF_SEVERAL : GRAIN_TRIAL;
    }
    return fine ? GRAIN_OPCODE : checked > 1 ? GRAIN_LINE_OF_SEVERAL : GRAIN_LINE;
}

/* Return how fine events must be on the line that starts at `unit`, as found when it was first asked. */
static inline int
grain_of(CoreState *state, CodeInfo *info, Py_ssize_t unit)
{
    int interest = effects_of_interest(state, info) | (state->large_count > 0 ? LARGE_INTEREST : 0) |
                   (state->several_threads ? THREADS_INTEREST : 0) | (state->classes.count > 0 ? CLASSES_INTEREST : 0) |
                   (operands_matter(state) ? TAKEN_INTEREST : 0);
    int has_sites = state->access_count > 0 ? sites_matter(state, info) : 0;
    if (has_sites < 0) {
        PyErr_Clear();
    }
    int era = has_sites > 0 ? state->access_era : 0;
    if (info->grain_interest != interest || info->grain_era != era) {
        memset(info->grain, 0, (size_t)info->length);
        info->grain_interest = interest;
        info->grain_era = era;
    }
    if (info->grain[unit] == 0) {
        info->grain[unit] = (unsigned char)find_grain(state, info, unit, interest, has_sites > 0);
    }
    return info->grain[unit];
}

static void
set_position(Traced *traced, _PyInterpreterFrame *frame, int exact)
{
    while (frame != NULL && _PyFrame_IsIncomplete(frame)) {
        frame = frame->previous;
    }
    traced->code = frame == NULL ? NULL : frame->f_code;
    int offset = frame == NULL ? 0 : _PyInterpreterFrame_LASTI(frame) * (int)sizeof(_Py_CODEUNIT);
    traced->offset = offset < 0 ? 0 : offset;
    traced->exact = exact;
}

static void
settle_blame(CoreState *state, Traced *traced, PyFrameObject *frame, int what, Blame *blame)
{
    *blame = (Blame){.thread = traced->thread, .frame = (PyFrameObject *)Py_NewRef(frame), .offset = -1};
    PyCodeObject *code = PyFrame_GetCode(frame);
    if (what == PyTrace_CALL) {
        blame_caller(blame);
    }
    else if (what == PyTrace_EXCEPTION) {
        /* The frame's current instruction raised. */
    }
    else if (traced->code == code) {
        CodeInfo *info = code_info(state, code);
        int unit = traced->exact || info == NULL ? -1 : checked_on_line(state, info, traced->offset / 2);
        blame->offset = unit >= 0 ? 2 * unit : traced->offset;
        blame->one_of_several =
            info != NULL && (info->merged[blame->offset / 2] ||
                             info->grain[traced->offset / 2] == GRAIN_LINE_OF_SEVERAL || traced->begun == code);
        blame->unknown = info == NULL;
        PyErr_Clear();
    }
    else {
        /* The first event of a frame that ran already: somewhere before this instruction. */
        blame->other_code = (PyCodeObject *)Py_NewRef(code);
        blame->other_offset = 0;
    }
    Py_DECREF(code);
    blame_weigh_threads(state, blame);
}

/* The frame's locals have changed, by the line that it has begun at its last event. */
static void
report_locals(CoreState *state, Traced *traced, FrameRef *ref)
{
    CodeInfo *info = code_info(state, ref->code);
    int unit = traced->code == ref->code ? traced->offset / 2 : -1;
    Blame blame = {.thread = traced->thread, .frame = (PyFrameObject *)Py_NewRef(ref->frame), .offset = -1};
    blame.unknown = info == NULL;
    PyErr_Clear();
    frames_report_after(state, ref, &blame, info, unit);
    blame_release(&blame);
}

/* True at the call event of a new call; a generator that goes on has one as well. */
static int
is_start(PyFrameObject *frame)
{
    return _PyInterpreterFrame_LASTI(frame->f_frame) <= frame->f_frame->f_code->_co_firsttraceable;
}

static void
note_call(CoreState *state, PyFrameObject *frame)
{
    CodeInfo *info = state->function_count == 0 ? NULL : code_info(state, frame->f_frame->f_code);
    if (info != NULL && info->calls > 0 && is_start(frame) && calls_note(state, info) < 0) {
        PyErr_Clear(); /* It counts as missed. */
    }
}

static void
end_opcodes(PyFrameObject *frame)
{
    if (frame->f_trace_opcodes == OPCODES_FOR_US) {
        frame->f_trace_opcodes = 0;
    }
}

/* Opcode events only where one line holds several instructions after which checks are due (I1). */
static inline void
set_grain(CoreState *state, Traced *traced, PyFrameObject *frame, CodeInfo *info)
{
    int unit = traced->offset / 2;
    if (unit >= info->length) {
        return;
    }
    int grain = grain_of(state, info, unit);
    traced->exact = grain == GRAIN_OPCODE || is_trial(grain);
    if (is_trial(grain)) {
        info->grain[unit] = grain == GRAIN_TRIAL ? GRAIN_LINE : GRAIN_LINE_OF_SEVERAL;
    }
    if (traced->exact && !frame->f_trace_opcodes) {
        frame->f_trace_opcodes = OPCODES_FOR_US;
    }
    else if (!traced->exact) {
        end_opcodes(frame);
    }
    if (info->starts_threads && code_line_names(info, unit, NAMES_STARTER)) {
        threads_expect(state, 1);
    }
    else if (info->starts_threads) {
        threads_expect(state, 0); /* What was to start one has failed. */
    }
}

static void
choose_grain(CoreState *state, Traced *traced, PyFrameObject *frame)
{
    CodeInfo *info = code_info(state, frame->f_frame->f_code);
    if (info == NULL) {
        PyErr_Clear();
        return;
    }
    set_grain(state, traced, frame, info);
}

/* An exception may lead to instructions that have no line, for which no line event comes (codeinfo.c). */
static void
see_unlined(CoreState *state, PyFrameObject *frame)
{
    CodeInfo *info = code_info(state, frame->f_frame->f_code);
    if (info == NULL) {
        PyErr_Clear();
    }
    else if (info->unlined >= 0 && grain_of(state, info, info->unlined) >= GRAIN_OPCODE && !frame->f_trace_opcodes) {
        frame->f_trace_opcodes = OPCODES_FOR_US;
    }
}

static int
is_ours(CoreState *state, PyFrameObject *frame)
{
    PyCodeObject *code = frame->f_frame->f_code;
    CodeInfo *info = code_info(state, code);
    if (info == NULL) {
        PyErr_Clear();
        return 0;
    }
    return info->is_ours;
}

static int
is_yield(CoreState *state, PyCodeObject *code, int offset)
{
    return offset >= 0 && _Py_OPCODE(_PyCode_CODE(code)[offset / 2]) == state->yield_value;
}

static int
end_frame(CoreState *state, PyFrameObject *frame, PyObject *result)
{
    PyCodeObject *code = frame->f_frame->f_code;
    CodeInfo *info = code_info(state, code);
    if (info == NULL || info->local_checks == 0 || (result != NULL && is_yield(state, code, PyFrame_GetLasti(frame)))) {
        PyErr_Clear();
        return 0;
    }
    return recheck_end_frame(state);
}

/* An instruction may store to an instance and then end it, as in `make().x = 1`. Keep those that nobody else refers to, but what
 * is noted just now, until they have been compared. */
static void
keep_operands(CoreState *state, Traced *traced, const CodeInfo *info, Py_ssize_t unit)
{
    int first, end;
    if (!depths_operands(info, unit, &first, &end)) {
        return;
    }
    for (int slot = first; slot < end && traced->kept_count < MOST_KEPT; slot++) {
        PyObject *operand = compat_stack_slot(slot); /* Borrowed. */
        if (operand != NULL && (Py_REFCNT(operand) == 1 || state->queued > 0) &&
            table_find(&state->instances, operand) != NULL) {
            traced->kept[traced->kept_count++] = Py_NewRef(operand);
        }
    }
}

static void
see_operands(CoreState *state, Traced *traced, PyFrameObject *frame)
{
    CodeInfo *info = code_info(state, frame->f_frame->f_code);
    Py_ssize_t unit = PyFrame_GetLasti(frame) / 2;
    if (info == NULL) {
        PyErr_Clear();
    }
    else if (unit < info->length && (info->due[unit] & DUE_OPERANDS) && (info->effect[unit] & state->level)) {
        if (state->instances.count > 0) {
            keep_operands(state, traced, info, unit);
        }
        if (state->large_count > 0) {
            large_see_operands(state, info, unit);
        }
    }
}

/* If an instruction has just made a C function that may be bound to data, look at it. */
static void
see_result(CoreState *state, _PyInterpreterFrame *frame)
{
    CodeInfo *info = code_info(state, frame->f_code);
    int unit = _PyInterpreterFrame_LASTI(frame);
    if (info == NULL) {
        PyErr_Clear();
        return;
    }
    if (unit < 0 || !(info->due[unit] & DUE_RESULT)) {
        return;
    }
    PyObject *result = compat_stack_top(info->depth[unit]);
    if (result != NULL && Py_TYPE(result)->tp_call != NULL) {
        hooks_see(state, result);
    }
}

/* What the next instruction of `frame` is about to do. Once it is noted, the handler is to take it. -1 with an exception
 * for the program. */
static int
look_ahead(CoreState *state, PyFrameObject *frame)
{
    CodeInfo *info = code_info(state, frame->f_frame->f_code);
    int unit = PyFrame_GetLasti(frame) / (int)sizeof(_Py_CODEUNIT);
    if (info == NULL || unit < 0 || unit >= info->length) {
        PyErr_Clear();
        return 0;
    }
    return access_begin(state, info, unit, frame->f_frame) < 0 ? -1 : 0;
}

/* What the last instruction of `frame` has begun: done now, or for nothing, since it has failed or the frame ends. */
static void
look_back(CoreState *state, PyFrameObject *frame, int what)
{
    CodeInfo *info = code_info(state, frame->f_frame->f_code);
    int unit = PyFrame_GetLasti(frame) / (int)sizeof(_Py_CODEUNIT);
    if (info == NULL || (what != PyTrace_LINE && what != PyTrace_OPCODE)) {
        PyErr_Clear();
        access_leave(state, frame->f_frame);
    }
    else {
        access_end(state, info, unit, frame->f_frame);
    }
}

static int
drain_own(CoreState *state, const Traced *traced)
{
    events_see_signals(state);
    arming_wait(state);
    if ((state->queued > 0 || state->due > 0 || state->held_count > 0) && events_wait_for(state, traced->thread)) {
        return events_drain(state, IN_EVENT);
    }
    return 0;
}

/* Take note of threads that have begun since the last look, by the line or instruction that this one has begun then. */
static void
see_new_threads(CoreState *state, const Traced *traced, PyFrameObject *frame)
{
    PyCodeObject *code = PyFrame_GetCode(frame);
    int offset = traced->code == code ? traced->offset : 0;
    unheard_begin(state, code, offset);
    Py_DECREF(code);
}

/* Take the short way (quick.h), and return whether that was possible: then nothing has changed. */
static int
look_quickly(CoreState *state, Traced *traced, PyFrameObject *frame, int what)
{
    _PyInterpreterFrame *running = frame->f_frame;
    CodeInfo *info = code_info(state, running->f_code);
    if (info == NULL) {
        PyErr_Clear();
        return 0;
    }
    int unit = _PyInterpreterFrame_LASTI(running);
    if (what == PyTrace_EXCEPTION || (what == PyTrace_OPCODE && (unit < 0 || (info->due[unit] & DUE_RESULT))) ||
        traced->begun != NULL || traced->kept_count > 0 || state->last_thread != traced->thread ||
        !is_plain(state, info) || !are_surely_same(state)) {
        return 0;
    }
    state->look++;
    if (what == PyTrace_RETURN) {
        end_opcodes(frame);
        set_position(traced, running->previous, 1);
        return 1;
    }
    set_position(traced, running, what != PyTrace_LINE);
    if (what != PyTrace_OPCODE) {
        set_grain(state, traced, frame, info);
    }
    return 1;
}

/* True when the instruction that has run just before `unit` of `info` can have changed something. */
static int
may_have_changed(CoreState *state, const CodeInfo *info, int unit)
{
    int interest = effects_of_interest(state, info);
    int culprit = info->culprit[unit];
    int other = info->other[unit];
    return (culprit >= 0 && (info->effect[culprit] & interest)) || (other >= 0 && (info->effect[other] & interest)) ||
           (info->due[unit] & DUE_RESULT);
}

/* Where each instruction of a line has an event, most have changed nothing: take note of what comes next, without a look, and
 * return whether that was possible. */
static int
pass_by(CoreState *state, Traced *traced, PyFrameObject *frame)
{
    _PyInterpreterFrame *running = frame->f_frame;
    CodeInfo *info = code_info(state, running->f_code);
    if (info == NULL) {
        PyErr_Clear();
        return 0;
    }
    int unit = _PyInterpreterFrame_LASTI(running);
    if (unit < 0 || unit >= info->length || traced->begun != NULL || state->last_thread != traced->thread ||
        !is_quiet(state, info)) {
        return 0;
    }
    /* The first one of a line has just been looked before, at the line's event. */
    int is_known = traced->code == running->f_code && traced->offset == unit * (int)sizeof(_Py_CODEUNIT);
    if (!is_known && may_have_changed(state, info, unit)) {
        return 0;
    }
    set_position(traced, running, 1);
    see_operands(state, traced, frame);
    return 1;
}

/* Some dict has been stored to by what has run since the last event, on the line where this thread stood then: from now on
 * it matters what the instructions of that line take. If that was not seen this time, all are to be compared now. */
static void
see_stores(CoreState *state, const Traced *traced, PyFrameObject *frame, int what)
{
    state->crowd_is_due = 0;
    state->crowd_is_still = 0;
    if (!crowd_is_of_dicts(state) || !state->crowd_is_large) {
        return;
    }
    if (!clock_has_moved(state, &state->crowd_stored)) {
        state->crowd_is_still = 1;
        return;
    }
    _PyInterpreterFrame *writer = what == PyTrace_CALL ? frame->f_frame->previous : frame->f_frame;
    if (writer == NULL || _PyFrame_IsIncomplete(writer) || writer->f_code != traced->code) {
        return; /* It was code of ours, or has just been met. */
    }
    int has_events = writer->frame_obj != NULL && writer->frame_obj->f_trace_opcodes;
    state->crowd_is_due = !has_events || !traced->exact;
    CodeInfo *info = code_info(state, writer->f_code);
    int unit = traced->offset / (int)sizeof(_Py_CODEUNIT);
    if (info == NULL || unit >= info->length) {
        PyErr_Clear();
        return;
    }
    for (Py_ssize_t i = 0; info->grain[unit] != GRAIN_OPCODE && i < info->length; i++) {
        if (i != unit && info->line[i] == info->line[unit]) {
            info->grain[i] = GRAIN_OPCODE;
        }
    }
    info->grain[unit] = GRAIN_OPCODE;
}

static int
look_at_all(CoreState *state, Traced *traced, PyFrameObject *frame, int what, PyObject *argument)
{
    if (state->raising.code != NULL && what == PyTrace_EXCEPTION) {
        raising_correct_traceback(state, PyTuple_GET_ITEM(argument, 1), PyTuple_GET_ITEM(argument, 2));
    }
    else if (state->raising.code == frame->f_frame->f_code) {
        raising_end(state);
    }
    if (*state->latest_thread_now != state->latest_thread || state->unheard_count > 0) {
        see_new_threads(state, traced, frame);
    }
    FrameRef *ref = frames_find(state, frame);
    if (ref != NULL && frames_find_change(state, ref)) {
        report_locals(state, traced, ref);
    }
    see_stores(state, traced, frame, what);
    unsigned long switches = blame_begin_look(state);
    if (recheck_finds_change(state, LOOK_QUICK)) {
        Blame blame;
        settle_blame(state, traced, frame, what, &blame);
        unheard_doubt(state, &blame);
        recheck_report_all(state, &blame, LOOK_QUICK);
        blame_release(&blame);
    }
    state->crowd_is_due = state->crowd_is_still = 0;
    if (classes_await(state)) {
        Blame blame;
        settle_blame(state, traced, frame, what, &blame);
        classes_note_new(state, &blame);
        blame_release(&blame);
    }
    if (state->unheard_count > 0) {
        unheard_end(state);
    }
    if (state->begun_count > 0) {
        look_back(state, frame, what);
    }
    if (traced->dropped) {
        return 0; /* A check that runs code of the user's has ended it all. */
    }
    state->last_thread = traced->thread;
    state->switches = switches;
    if (what == PyTrace_OPCODE) {
        see_result(state, frame->f_frame);
    }
    if (state->hooked && --state->patience <= 0) {
        hooks_survey(state);
    }
    int result = 0;
    if (what == PyTrace_RETURN) {
        end_opcodes(frame); /* It may go on later, or never. */
        set_position(traced, frame->f_frame->previous, 1);
        result = end_frame(state, frame, argument);
    }
    else {
        set_position(traced, frame->f_frame, what != PyTrace_LINE);
        if (what == PyTrace_LINE && traced->begun == traced->code) {
            traced->begun = NULL;
        }
        if (what == PyTrace_CALL) {
            note_call(state, frame);
        }
        if (what == PyTrace_LINE || what == PyTrace_CALL) {
            choose_grain(state, traced, frame); /* A generator goes on amid a line, without an event for it. */
        }
        else if (what == PyTrace_OPCODE && (state->large_count > 0 || state->instances.count > 0)) {
            see_operands(state, traced, frame);
        }
        else if (what == PyTrace_EXCEPTION) {
            see_unlined(state, frame);
        }
    }
    if (result == 0) {
        result = drain_own(state, traced);
    }
    /* What the handler has armed just now counts for this very instruction. */
    if (result == 0 && what == PyTrace_LINE && state->access_count > 0 && !traced->dropped) {
        choose_grain(state, traced, frame);
    }
    if (result == 0 && what == PyTrace_OPCODE && state->access_count > 0 && !traced->dropped) {
        result = look_ahead(state, frame) < 0 ? -1 : drain_own(state, traced);
    }
    return result;
}

static int
look(CoreState *state, Traced *traced, PyFrameObject *frame, int what, PyObject *argument)
{
    Traced before = {.kept_count = traced->kept_count};
    memcpy(before.kept, traced->kept, sizeof(before.kept));
    traced->kept_count = 0;
    int result = look_at_all(state, traced, frame, what, argument);
    let_go(&before); /* It has been compared. */
    return result;
}

/* An exception raised as a frame is left gets no traceback entry of that frame: make the one that the write has. */
static void
add_traceback(CoreState *state, PyFrameObject *frame)
{
    PyObject *type, *value, *traceback; /* Owned. */
    if (state->raising.exception == NULL || state->raising.code != frame->f_frame->f_code) {
        return;
    }
    if (PyTraceBack_Here(frame) < 0) {
        return; /* No memory for it; another exception is set now. */
    }
    PyErr_Fetch(&type, &value, &traceback);
    raising_correct_traceback(state, value, traceback);
    raising_end(state);
    PyErr_Restore(type, value, traceback);
}

/* A debugger that an event of ours has opened, or passed on to, may have put its own trace function in the place of ours,
 * or taken it off: put ours before it again. */
static void
keep_tracing(CoreState *state, PyThreadState *me)
{
    if (state->tracing && me->c_tracefunc != tracer) {
        PendingError error = take_pending_error();
        if (trace_all(state) < 0) {
            PyErr_Clear();
        }
        put_back_pending_error(error);
    }
}

static int
tracer(PyObject *object, PyFrameObject *frame, int what, PyObject *argument)
{
    CoreState *state = state_for_callback();
    PyThreadState *me = PyThreadState_Get();
    Traced *traced = state == NULL || !state->tracing ? NULL : traced_of(state, me);
    if (traced == NULL) {
        return 0;
    }
    if (PyInterpreterState_ThreadHead(me->interp) != state->thread_head && trace_all(state) < 0) {
        PyErr_Clear();
    }
    if (state->unfinished_calls > 0) {
        tools_finish(state);
    }
    if (traced->previous == NULL && look_quickly(state, traced, frame, what)) {
        return 0;
    }
    int for_us_alone = what == PyTrace_OPCODE && frame->f_trace_opcodes == OPCODES_FOR_US;
    if (what == PyTrace_OPCODE && (traced->previous == NULL || for_us_alone) && pass_by(state, traced, frame)) {
        return 0;
    }
    int is_told = 0;
    if (!is_ours(state, frame)) {
        (void)calling_take_told();
        traced->uses++;
        int failed = look(state, traced, frame, what, argument) < 0;
        traced->uses--;
        if (traced->dropped && traced->uses == 0) {
            PyMem_Free(traced);
        }
        /* A debugger that an action has opened in this frame knows already where it stands. */
        is_told = calling_take_told() == frame && what == PyTrace_LINE;
        keep_tracing(state, me);
        if (failed) {
            if (what == PyTrace_RETURN) {
                add_traceback(state, frame);
            }
            return -1;
        }
    }
    traced = state->tracing ? traced_of(state, me) : NULL; /* The handler may have disarmed everything. */
    if (traced == NULL || traced->previous == NULL || for_us_alone || is_told) {
        return 0;
    }
    object = Py_XNewRef(me->c_traceobj); /* I2 */
    PyObject *function = Py_XNewRef(what == PyTrace_CALL || frame->f_trace == NULL ? object : frame->f_trace);
    ToolCall running;
    tools_begin(state, &running, function, is_ours(state, frame) ? BEFORE_INSTRUCTION : AFTER_LOOK);
    int result = traced->previous(object, frame, what, argument);
    keep_tracing(state, me);
    tools_end(state, &running, what == PyTrace_RETURN);
    Py_XDECREF(function);
    Py_XDECREF(object);
    return result;
}

PyObject *
tracing_start(PyObject *module, PyObject *Py_UNUSED(unused))
{
    CoreState *state = PyModule_GetState(module);
    if (!state->audited) {
        if (PySys_AddAuditHook(on_audit, NULL) < 0) {
            return NULL;
        }
        state->audited = 1;
    }
    if (!state->tracing) {
        unheard_clear(state);
    }
    state->tracing = 1;
    settrace_begin(state);
    return trace_all(state) < 0 ? NULL : Py_NewRef(Py_None);
}

/* begin_line(frame): know where this thread stands, if no event has told: at the start of a line, in `frame`. A debugger
 * at whose prompt the tracing began says so. There are no opcode events on that line: the interpreter would give the
 * first one to the debugger's trace function, which it is calling just now. */
PyObject *
tracing_begin_line(PyObject *module, PyObject *frame)
{
    CoreState *state = PyModule_GetState(module);
    if (!PyFrame_Check(frame)) {
        PyErr_SetString(PyExc_TypeError, "a frame is needed");
        return NULL;
    }
    Traced *traced = state->tracing ? traced_of(state, PyThreadState_Get()) : NULL;
    if (traced != NULL && traced->code == NULL) {
        set_position(traced, ((PyFrameObject *)frame)->f_frame, 0);
        traced->begun = traced->code;
    }
    if (state->unfinished_calls > 0) {
        tools_finish(state); /* From here on it is known who changes what. */
    }
    Py_RETURN_NONE;
}

Position
tracing_position(CoreState *state, PyThreadState *thread)
{
    const Traced *traced = state->tracing ? traced_of(state, thread) : NULL;
    return traced == NULL ? (Position){.code = NULL} : (Position){traced->code, traced->offset, traced->exact};
}

void
tracing_go_back(CoreState *state, Position position)
{
    Traced *traced = state->tracing ? traced_of(state, PyThreadState_Get()) : NULL;
    if (traced != NULL && position.code != NULL) {
        traced->code = position.code;
        traced->offset = position.offset;
        traced->exact = position.exact;
    }
}

/* Have an event as soon as the blamed frame has finished its instruction. */
void
tracing_stop_after(const Blame *blame)
{
    if (blame->frame != NULL && !blame->frame->f_trace_opcodes) {
        blame->frame->f_trace_opcodes = OPCODES_FOR_US;
    }
}

/* From now on it matters what instructions take: have events of them in all frames that run, until their next lines. */
void
tracing_see_instructions(CoreState *state)
{
    for (Py_ssize_t i = 0; i < state->traced_count; i++) {
        PyThreadState *thread = compat_living_thread(state->traced[i]->thread);
        _PyInterpreterFrame *frame = thread == NULL ? NULL : thread->cframe->current_frame;
        for (; frame != NULL; frame = frame->previous) {
            PyFrameObject *object = frame->frame_obj;
            if (object != NULL && !object->f_trace_opcodes && !is_ours(state, object)) {
                object->f_trace_opcodes = OPCODES_FOR_US;
            }
        }
    }
}

/* Turn the opcode events off that are on for our sake, in all frames that run. */
static void
end_all_opcodes(PyThreadState *thread)
{
    for (_PyInterpreterFrame *frame = thread->cframe->current_frame; frame != NULL; frame = frame->previous) {
        if (frame->frame_obj != NULL) {
            end_opcodes(frame->frame_obj);
        }
    }
}

/* Give every thread back the trace function that it had. Returns nothing; never fails. */
void
tracing_clear(CoreState *state)
{
    tools_clear(state);
    state->tracing = 0;
    state->several_threads = 0;
    state->setting_thread = NULL;
    threads_update(state);
    settrace_end(state);
    drop_dead(state);
    state->installing = 1;
    while (state->traced_count > 0) {
        Traced *traced = state->traced[state->traced_count - 1];
        PyThreadState *thread = traced->thread;
        Py_tracefunc previous = traced->previous;
        drop_traced(state, state->traced_count - 1);
        end_all_opcodes(thread);
        if (thread->c_tracefunc == tracer && set_trace(thread, previous) < 0) {
            PyErr_Clear();
        }
    }
    state->installing = 0;
    PyMem_Free(state->traced);
    state->traced = NULL;
    state->thread_head = NULL;
}

PyObject *
tracing_stop(PyObject *module, PyObject *Py_UNUSED(unused))
{
    tracing_clear(PyModule_GetState(module));
    Py_RETURN_NONE;
}

#endif
