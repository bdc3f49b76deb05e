/* Which code objects have our local events on, and one-shot stops: after a dict watcher has noted a write, the handler
 * runs before the writing frame's next instruction.
 *
 * INSTRUCTION events are always local to a code object, never global. An instruction of no interest has its event
 * disabled when it first comes; turning the local events off and on again, which takes effect at the very next
 * instruction, brings all back. Global events would need restart_events(), which disturbs other tools.
 *
 * I1. `state->instrumented` lists exactly the CodeInfo whose `events` is not 0; `events` are the local events that are
 *     on for our tool.
 * I2. `awaited` is set from the request of a stop until no record waits for a frame of that code. Meanwhile no event of
 *     the code is disabled.
 */
#include "codeinfo.h"
#include "containers/item_stores.h"
#include "operators.h"
#include "sites.h"
#include "takeovers.h"
#include "tools.h"

#if HAS_MONITORING

static void
link_info(CoreState *state, CodeInfo *info)
{
    info->next = state->instrumented;
    info->previous = NULL;
    if (info->next != NULL) {
        info->next->previous = info;
    }
    state->instrumented = info;
    state->instrumented_count++;
}

void
instrument_unlink(CoreState *state, CodeInfo *info)
{
    if (info->events == 0) {
        return;
    }
    info->events = 0;
    if (info->previous != NULL) {
        info->previous->next = info->next;
    }
    else {
        state->instrumented = info->next;
    }
    if (info->next != NULL) {
        info->next->previous = info->previous;
    }
    state->instrumented_count--;
}

static int
call_set_local_events(CoreState *state, CodeInfo *info, PyObject *number)
{
    PyObject *args[] = {state->tool, (PyObject *)info->code, number};
    state->sets_events++; /* takeovers.c */
    PyObject *result = number == NULL ? NULL : PyObject_Vectorcall(state->set_local_events, args, 3, NULL);
    state->sets_events--;
    Py_XDECREF(result);
    if (info->stores_items) {
        item_stores_calm_again(info->code);
    }
    return result == NULL ? -1 : 0;
}

/* After a failure, let the interpreter forget what it has begun, or it would take the same request for done. */
static void
take_back_events(CoreState *state, CodeInfo *info)
{
    PendingError error = take_pending_error();
    PyObject *zero = PyLong_FromLong(0); /* Is there always. */
    info->unsure = call_set_local_events(state, info, zero) < 0;
    Py_XDECREF(zero);
    PyErr_Clear();
    put_back_pending_error(error);
}

/* Turn on exactly `events` for the code of `info`; after an error, none are. Runs no Python code. */
static int
set_events(CoreState *state, CodeInfo *info, long events)
{
    if (info->events == events || state->set_local_events == NULL) {
        return 0;
    }
    if (info->unsure) {
        take_back_events(state, info);
    }
    PyObject *number = PyLong_FromLong(events);
    int result = call_set_local_events(state, info, number);
    Py_XDECREF(number);
    if (result == 0 && (events & state->instruction_event)) {
        /* Or the events would be lost as soon as another tool comes: a debugger, or coverage. */
        result = compat_keep_instruction_tool(info->code, PyLong_AsLong(state->tool));
    }
    instrument_unlink(state, info); /* I1 */
    if (result < 0) {
        take_back_events(state, info);
    }
    else if (events != 0) {
        info->events = events;
        link_info(state, info);
    }
    return result;
}

static long
wanted_events(const CoreState *state, const CodeInfo *info)
{
    long events = code_has_locals(info) ? state->instruction_event | state->return_event : 0;
    events |= info->calls > 0 ? state->start_event : 0;
    int all = state->level != 0 || info->awaited || (state->shared_level != 0 && info->stores_shared) ||
              (state->item_stores && info->stores_items) || info->is_restless ||
              (state->access_count > 0 && info->sites != NULL && info->sites->any_matters);
    return events | (all ? state->instruction_event : 0);
}

/* Bring the local events of a code up to date; `again` brings back those that were disabled. */
int
instrument_code(CoreState *state, CodeInfo *info, int again)
{
    long wanted = sites_matter(state, info) < 0 ? -1 : wanted_events(state, info);
    if (wanted < 0 || (again && info->events != 0 && set_events(state, info, 0) < 0) ||
        set_events(state, info, wanted) < 0) {
        state->blind = 1; /* monitoring.c, I2 */
        return -1;
    }
    return 0;
}

/* Bring all code up to date that has events on. */
int
instrument_all(CoreState *state, int again)
{
    CodeInfo *next;
    for (CodeInfo *info = state->instrumented; info != NULL; info = next) {
        next = info->next;
        if (instrument_code(state, info, again) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Bring all code up to date of which something is known. */
int
instrument_known(CoreState *state, int again)
{
    int result = 0;
    for (CodeInfo *info = state->known; info != NULL && result == 0; info = info->next_known) {
        result = instrument_code(state, info, again);
    }
    return result;
}

/* Turn on events for all code that is running in any thread now; what starts or resumes later does so itself. */
int
instrument_running(CoreState *state)
{
    int result = 0;
    PyThreadState *thread = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    for (; thread != NULL && result == 0; thread = PyThreadState_Next(thread)) {
        PyFrameObject *frame = PyThreadState_GetFrame(thread);
        if (frame == NULL && compat_runs_python(thread)) {
            PyErr_NoMemory();
            return -1;
        }
        while (frame != NULL && result == 0) {
            PyCodeObject *code = PyFrame_GetCode(frame);
            CodeInfo *info = code_info(state, code);
            result = info == NULL ? -1 : instrument_code(state, info, 0);
            Py_DECREF(code);
            Py_SETREF(frame, result < 0 ? NULL : PyFrame_GetBack(frame));
            result = PyErr_Occurred() ? -1 : result;
        }
        Py_XDECREF(frame);
    }
    return result;
}

/* Turn all events on anew, since some are missing. */
int
instrument_anew(CoreState *state)
{
    return state->set_local_events == NULL ? 0 : instrument_all(state, 1) < 0 ? -1 : instrument_running(state);
}

static int
stop_after_instruction(CoreState *state, const Blame *blame)
{
    PyCodeObject *code = PyFrame_GetCode(blame->frame);
    CodeInfo *info = code_info(state, code);
    Py_DECREF(code); /* The frame keeps it. */
    if (info == NULL) {
        return -1;
    }
    if (info->awaited) {
        return 0; /* I2 */
    }
    info->awaited = 1;
    if (instrument_code(state, info, 1) < 0) {
        info->awaited = 0;
        return -1;
    }
    return 0;
}

#define MOST_FRAMES_OF_CALLBACK 20

/* A callback of another tool runs, in which there are no events: have one where the frame goes on for which it was called. */
static void
stop_behind_callback(CoreState *state, PyFrameObject *frame)
{
    Py_XINCREF(frame);
    for (int i = 0; frame != NULL && i < MOST_FRAMES_OF_CALLBACK; i++) {
        Blame blame = {.frame = frame};
        if (state->set_local_events == NULL || stop_after_instruction(state, &blame) < 0) {
            PyErr_Clear();
        }
        Py_SETREF(frame, PyFrame_GetBack(frame));
        PyErr_Clear();
    }
    Py_XDECREF(frame);
}

/* Have the queue drained as soon as the blamed frame has finished its instruction. Runs no Python code, sets no
 * exception. */
void
instrument_stop_after(CoreState *state, const Blame *blame)
{
    /* While another tool's callback runs, this thread gets no events: then at the next opportunity, as without memory. */
    if (blame->frame == NULL || blame->thread->tracing > 0 || state->set_local_events == NULL ||
        stop_after_instruction(state, blame) < 0) {
        PyErr_Clear();
        if (blame->frame != NULL && blame->thread->tracing > 0) {
            stop_behind_callback(state, blame->frame);
        }
        events_drain_later();
    }
}

/* Amid an event of ours: have an event before the running frame's next instruction, if there is memory for it. */
void
instrument_stop_here(CoreState *state)
{
    PendingError error = take_pending_error();
    Blame blame;
    blame_current(&blame);
    if (blame.frame != NULL && state->set_local_events != NULL && stop_after_instruction(state, &blame) < 0) {
        PyErr_Clear();
    }
    blame_release(&blame);
    put_back_pending_error(error);
}

/* Have an event before the next instruction of `frame`, which may be NULL; at the next opportunity without memory. */
void
instrument_stop_in(CoreState *state, PyFrameObject *frame)
{
    Blame blame = {.frame = frame};
    if (frame == NULL || state->set_local_events == NULL || stop_after_instruction(state, &blame) < 0) {
        PyErr_Clear();
        events_drain_later();
    }
}

static int
code_is_awaited(CoreState *state, CodeInfo *info)
{
    PyCodeObject *code = info->code;
    for (Py_ssize_t i = 0; i < state->queued; i++) {
        if (state->queue[i].frame != Py_None) {
            PyCodeObject *waiting = PyFrame_GetCode((PyFrameObject *)state->queue[i].frame);
            Py_DECREF(waiting); /* The frame keeps it. */
            if (waiting == code) {
                return 1;
            }
        }
    }
    return state->due > 0 || state->held_count > 0 || state->signals_wait || state->raising.code == code ||
           access_awaits(state, info);
}

/* If nothing waits for a frame of this code any more, let its events be as without the stop (I2). */
int
instrument_end_stop(CoreState *state, CodeInfo *info)
{
    if (!info->awaited || code_is_awaited(state, info)) {
        return 0;
    }
    info->awaited = 0;
    return instrument_code(state, info, 0);
}

/* use_tool(set_local_events, tool id, INSTRUCTION, PY_START, PY_RETURN, DISABLE); use_tool(None, 0, 0, 0, 0, None) for
 * no more. */
PyObject *
instrument_use_tool(PyObject *module, PyObject *args)
{
    CoreState *state = PyModule_GetState(module);
    PyObject *function, *tool, *disable; /* Borrowed from args. */
    long instruction, start, exit;
    if (!PyArg_ParseTuple(args, "OOlllO", &function, &tool, &instruction, &start, &exit, &disable)) {
        return NULL;
    }
    instrument_clear(state);
    if (function != Py_None) {
        state->set_local_events = Py_NewRef(function);
        state->tool = Py_NewRef(tool);
        state->disable = Py_NewRef(disable);
        state->instruction_event = instruction;
        state->start_event = start;
        state->return_event = exit;
        takeovers_begin(state);
    }
    Py_RETURN_NONE;
}

/* Once there are several threads, have the checks that these need (codeinfo.c, I3). -1 with an exception set. */
int
instrument_see_threads(CoreState *state)
{
    if (state->several_threads) {
        return 0;
    }
    PyThreadState *me = PyThreadState_Get();
    if (me->next == NULL && me->prev == NULL) {
        return 0;
    }
    state->several_threads = 1;
    int result = instrument_all(state, 1);
    state->several_threads = result == 0; /* Or try again. */
    return result;
}

static int
interest_of(const CoreState *state)
{
    int everywhere = state->level == 0 ? 0 : state->level | DUE_RESULT | (state->hooked ? EFFECT_HOOKS : 0);
    return everywhere | state->shared_level;
}

/* set_level(effects): after which instructions, in any code, checks are due; 0 for none. Where it is EFFECT_SHARED alone,
 * code that has no such instruction has no events. */
PyObject *
instrument_set_level(PyObject *module, PyObject *effects)
{
    CoreState *state = PyModule_GetState(module);
    long wanted = PyLong_AsLong(effects);
    if (wanted == -1 && PyErr_Occurred()) {
        return NULL;
    }
    long level = wanted & ~EFFECT_SHARED;
    int shared = (int)wanted & EFFECT_SHARED;
    int shared_before = state->shared_level;
    /* Where an instruction was of no interest before, its event has been disabled. */
    int before = state->level;
    if (before == 0) {
        unheard_clear(state);
    }
    int again = (level & ~before) != 0 || (shared & ~shared_before);
    state->era += state->level == 0 && level != 0;
    state->level = (int)level;
    state->shared_level = shared;
    hooks_take_level(state, before);
    state->interest = interest_of(state);
    int failed = (shared != shared_before ? instrument_known(state, again) : instrument_all(state, again)) < 0 ||
                 (wanted != 0 && instrument_running(state) < 0) || (level != 0 && instrument_see_threads(state) < 0);
    if (failed) {
        state->level = before;
        state->shared_level = shared_before;
        state->interest = interest_of(state);
    }
    if (state->level == 0) {
        operators_end(state);
    }
    tools_update(state);
    return failed ? NULL : Py_NewRef(Py_None);
}

/* watch_item_stores(flag): have INSTRUCTION events in code that stores items, or none for that again. While an instruction
 * has its event, the interpreter does not replace it by one that stores to a list without asking the list. */
PyObject *
instrument_watch_item_stores(PyObject *module, PyObject *flag)
{
    CoreState *state = PyModule_GetState(module);
    int before = state->item_stores;
    state->item_stores = PyObject_IsTrue(flag);
    if (state->item_stores == before) {
        Py_RETURN_NONE;
    }
    if (instrument_known(state, state->item_stores) < 0 || (state->item_stores && instrument_running(state) < 0)) {
        state->item_stores = before;
        return NULL;
    }
    Py_RETURN_NONE;
}

/* Hooks are about, or not any more: let checks be due accordingly. -1 with an exception set. */
int
instrument_set_hooked(CoreState *state, int hooked)
{
    int again = hooked && !state->hooked;
    state->hooked = hooked;
    state->interest = interest_of(state);
    return again ? instrument_all(state, 1) : 0;
}

void
instrument_clear(CoreState *state)
{
    tools_clear(state);
    takeovers_end();
    CodeInfo *next;
    for (CodeInfo *info = state->instrumented; info != NULL; info = next) {
        next = info->next;
        info->awaited = 0;
        if (set_events(state, info, 0) < 0) {
            PyErr_Clear(); /* The tool id is gone, and the events with it. */
            instrument_unlink(state, info);
        }
    }
    Py_CLEAR(state->set_local_events);
    Py_CLEAR(state->tool);
    Py_CLEAR(state->disable);
}

#endif
