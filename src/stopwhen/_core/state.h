/* The module's state and the services that its parts offer each other. */
#ifndef STOPWHEN_STATE_H
#define STOPWHEN_STATE_H

#include "table.h"

#include <time.h>

/* What kind of delta a record carries; mechanisms/native.py turns each into its class of event.py. */
typedef enum {
    DELTA_REBOUND = 0,  /* old, new */
    DELTA_SPLICED = 1,  /* start, removed, inserted, length */
    DELTA_WHOLE = 2,    /* old content, new content; Python finds the difference */
    DELTA_ITEM = 3,     /* key, old, new, length */
    DELTA_UNKNOWN = 4,  /* nothing */
    DELTA_ENDED = 5,    /* nothing: the frame that holds the cell is gone */
    DELTA_CALLED = 6,   /* nothing: the record's frame is a new call of the function */
    DELTA_WRITTEN = 7,  /* nothing: a store has changed nothing */
    DELTA_READ = 8,     /* nothing */
    DELTA_BORN = 9,     /* a new instance of the class */
    DELTA_HIT = 10,     /* owner of the case, hit: it has been judged, and only its action is due (judging.c) */
} DeltaKind;

enum { STARTERS = 2 }; /* Functions that start programs (children.c). */

typedef struct {
    PyObject *tuple; /* Owned. (token, kind, data, thread id, frame, stack, other, one of several, own, by). */
    unsigned long thread_id; /* Of the thread that wrote. */
    PyObject *frame; /* Borrowed from tuple; Py_None when there was no Python frame. */
    int offset; /* In bytes, of the instruction of that frame that made the change. */
} Record;

/* A reference that our code is about to drop (releasing.c). */
typedef struct {
    PyObject *object; /* Owned. */
    unsigned long thread_id; /* Of the thread in which it is to be dropped. */
    PyObject *frame; /* Borrowed from a record's tuple; NULL when it is none, Py_None as in the record. */
    int offset; /* As in the record. */
    int is_ready; /* No other code of stopwhen holds it any more. */
    PyObject *
        text; /* Owned; NULL unless `object` is the dict of a hit, in which this may take the place of the old value. */
} Held;

/* Who is held to have made a change. */
typedef struct {
    PyThreadState *thread; /* Borrowed; alive, since the GIL is held throughout. */
    PyFrameObject *frame; /* Owned; NULL when the thread runs no Python frame. */
    int offset; /* Of the instruction in bytes; -1: the frame's current one. */
    int one_of_several; /* It, or an earlier call on the same line (codeinfo.c, I2). */
    int unknown; /* There was no memory to tell who: what is noted counts as missed. */
    const char *by_owner; /* Static: the type or module of the C function that made it; NULL where that is not known, */
    const char *by_name; /* and its name. */
    PyCodeObject *other_code; /* Owned; NULL unless the place is uncertain. */
    int other_offset;
} Blame;

/* How thorough a look is. */
typedef enum {
    LOOK_QUICK, /* Large contents are compared whole only where that is due (large.c). */
    LOOK_WHOLE,
} Look;

#define MOST_MISSED 16

/* How many stores to dicts there had been, and how many of these were our own (clock.c). */
typedef struct {
    uint64_t version; /* 0: not known. */
    uint64_t readings;
} ClockReading;

typedef struct Check Check;
typedef struct CodeInfo CodeInfo;
typedef struct WatchedDict WatchedDict;
typedef struct ClassScope ClassScope;
typedef struct HookedClass HookedClass;
typedef struct BorrowedFree BorrowedFree;
typedef struct Instance Instance;
typedef struct Part Part;
typedef struct Knowledge Knowledge;
typedef struct Traced Traced;
typedef struct Relay Relay;
typedef struct FrameRef FrameRef;
typedef struct WatchedFunction WatchedFunction;
typedef struct Access Access;
typedef struct Begun Begun;
typedef struct Unheard Unheard;
typedef struct RunningCall RunningCall;

/* Methods of classes that are asked for: by whom an access is handled. */
typedef enum {
    METHOD_SETITEM,
    METHOD_GETITEM,
    METHOD_SETATTR,
    METHOD_GETATTRIBUTE,
    METHOD_SET,
    METHOD_COUNT,
} MethodName;

#define RECENT_CODES 256
#define MOST_SUSPENDED 16

typedef struct {
    uint64_t id; /* Of a thread; 0 for none. */
    const PyCodeObject *code; /* Never followed: where it was, and at which unit. */
    int unit;
    int is_amid; /* Not done with the instruction there. */
} Suspended;

#define STARTS_READ 1 /* of code of which all is known */
#define STARTS_UNREAD 2 /* of other code */
#define STARTS_OF_ANY (STARTS_READ | STARTS_UNREAD)

typedef struct {
    PyObject *handler; /* Owned; NULL when no session listens. Called without arguments to drain the queue. */
    PyObject *absent; /* Owned. stopwhen.types.ABSENT. */
    PyObject *own_folder; /* Owned str: what the file names of stopwhen's own code start with. */
    Record *queue; /* Changes in the order in which they happened. */
    Py_ssize_t queued;
    Py_ssize_t queue_capacity;
    int due; /* Number of actions that wait for the thread that wrote; 1 at least while something is missed. */
    PyObject *missed[MOST_MISSED]; /* Owned: tokens of cells whose changes could not be noted for want of memory. */
    int missed_count;
    int missed_more; /* So did others, whose tokens have no place in `missed`. */
    int signals_wait; /* Signals that have come are to be handled once the handler of one is done. */
    Held *held; /* What is still to be dropped (releasing.c), in the order in which it was replaced. */
    Py_ssize_t held_count;
    Py_ssize_t held_capacity;

    PyTypeObject *check_type; /* Owned. */
    PyTypeObject *callback_type; /* Owned. */
    PyTypeObject *method_wrapper_type; /* Owned. The type of `None.__repr__`, which has no name in C. */
    PyTypeObject *frame_ref_type; /* Owned. */
    PyTypeObject *places_type; /* Owned. */

    /* Changes that are judged where they happen (judging.c). */
    PyTypeObject *judge_type; /* Owned. */
    PyTypeObject *case_type; /* Owned. */
    Table cases; /* token -> tuple of the token itself and its Cases. */
    PyObject *threads; /* Owned. `threading._active`; NULL until that is there. */
    PyObject *running_loop; /* Owned. `_asyncio._get_running_loop`, likewise. */
    PyObject *noted_in; /* Owned dict: what it has under the key belongs to a hit; NULL for nothing. */
    PyObject *noted_key; /* Owned bytes. */
    PyObject *name_name; /* Owned interned str: "_name". */
    long pid; /* Of this process. */
    Py_ssize_t code_extra; /* Index of our per-code information. */

    /* Opcode tables, filled by Python from the `opcode` module. */
    unsigned char caches[256];
    unsigned short effects[256];
    unsigned short operators[32]; /* Effects of BINARY_OP by its argument, beside those that it has with any. */
    unsigned char local_stores[256]; /* codeinfo.h: LOCAL_STORE... */
    unsigned char name_shift[256]; /* How far to shift an argument right to get an index of co_names. */
    struct {
        PyCodeObject *code; /* Never followed; NULL for none. */
        CodeInfo *info;
    } recent[RECENT_CODES]; /* Information that was asked for lately, by the address of its code. */
    PyObject *names; /* Owned dict: name of a function -> what it tells of it. */
    unsigned char extended_arg;
    unsigned char yield_value;
    unsigned char binary_op;
    unsigned char get_iter;
    unsigned char for_iter;
    unsigned char call;
    unsigned char jump_kind[256]; /* loops.c: JUMP_... of mechanisms/opcodes.py. */
    unsigned char for_skip; /* Units behind its target that an exhausted FOR_ITER skips. */
    int blind; /* Some code runs without the events that it needs, for want of memory (monitoring.c, I2). */
    int several_threads; /* There has been more than one thread while checks were armed. */
    int era; /* Counts how often `level` has come from 0. */
    int level; /* Effects (codeinfo.h) after which checks are due, in any code. */
    int interest; /* What of `due` counts on 3.12+: `level`, and what comes with it. */

    /* C functions in the way of other instructions (hooks.c). */
    int hooked; /* There are such as can change the data: checks are due after nearly everything. */
    int unsurveyed; /* Something is checked of which it is not known whether there are. */
    unsigned char bound_to[4096]; /* Bits, by address: objects that a C function may be bound to. */
    int patience; /* Checks until the next survey. */
    int next_patience;
    clock_t surveys; /* The processor's time that they have taken. */
    PyTypeObject *partial_type; /* Owned. functools.partial. */
    PyTypeObject *methodcaller_type; /* Owned. operator.methodcaller. */
    const void *latest_frame; /* Never followed: frame of the instruction that had the last event while hooked, */
    const PyCodeObject *latest_code; /* its code, */
    int latest_unit; /* and its unit. */

    /* Sites of accesses (sites.c). */
    unsigned char site[256]; /* By opcode. */
    unsigned char operator_sites[32]; /* Of BINARY_OP by its argument. */
    int intrinsic_op; /* Opcodes; -1 where there is none. */
    int kw_names;
    int push_null;
    int load_const;
    int load_small_int;
    int copy;
    int swap;

    /* Accesses (access.c). */
    Access *accesses; /* By address of their owners. */
    Py_ssize_t access_count;
    Py_ssize_t access_capacity;
    int access_interest; /* INTEREST_... of sites.h. */
    unsigned int in_place; /* Operators that store into some armed container: bits by argument of BINARY_OP. */
    PyObject *stored_names; /* Owned frozensets of str: names of armed cells, and of functions in C that touch some. */
    PyObject *read_names;
    PyObject *call_names;
    int access_era; /* Counts how often what is of interest became another; from 1 on. */
    PyObject *judge; /* Owned. Tells what an instruction touches where that takes more than a look. */
    Begun *begun; /* Stores that instructions have begun. */
    Py_ssize_t begun_count;
    Py_ssize_t begun_capacity;
    PyObject *method_names[METHOD_COUNT]; /* Owned interned str. */
    PyObject *no_names; /* Owned empty tuple. */
    int starts_disabled; /* STARTS_...: there may be code whose start has no event any more. */
    CodeInfo *known; /* All information on code. */

    /* Local events (instrument.c). */
    PyObject *set_local_events; /* Owned; NULL when there is no tool id. */
    PyObject *tool; /* Owned. */
    PyObject *disable; /* Owned. sys.monitoring.DISABLE. */
    int sets_events; /* We ourselves set events just now. */

    /* What others have taken away and nobody was told of yet (takeovers.c). */
    int taken;
    const char *taker; /* Borrowed; static. The function of sys.monitoring that did it; NULL for none. */
    long instruction_event;
    long start_event;
    long return_event;
    CodeInfo *instrumented;
    Py_ssize_t instrumented_count;

    /* Dict watcher (dictwatch.c). */
    int watcher_id; /* -1 when none is taken. */
    Table dicts; /* PyDictObject -> WatchedDict */

    /* Operators of classes (operators.c). */
    int class_watcher_id; /* -1 when none is taken. */
    Table class_dicts; /* PyDictObject -> itself */

    /* Classes whose instances are watched (classes.c), and these (instances.c). */
    ClassScope **scopes;
    Py_ssize_t scope_count;
    Table classes; /* PyTypeObject -> HookedClass */
    Table instances; /* PyObject -> Instance */
    uint64_t instance_number; /* The last one given. */
    BorrowedFree *borrowed_free; /* Borrowed: the latest first. */
    destructor python_dealloc; /* Of the types that class statements make. */
    setter set_class; /* The interpreter's own setters, while ours stand before them. */
    setter set_bases;
    setter set_dict;
    getter get_dict;
    int has_new_class; /* A class has been made whose tp_init is still to be hooked (classes.c, I6; subclasses.c, I2). */
#if !HAS_DICT_WATCHERS
    newfunc type_new; /* Of `type` itself, likewise. */
    destructor type_dealloc;
#endif
    PyObject *newborn; /* Borrowed: made, but not yet told of (classes.c, I5). NULL for none. */
    PyGetSetDef *dict_getsets[16]; /* Those of `__dict__` that have our setters. */
    size_t dict_getset_count;
    destructor list_dealloc; /* Of the list type itself, likewise (3.15+). */
    traverseproc dict_traverse; /* Of the dict type itself, likewise. */
    inquiry dict_clear;
    int detaches; /* Instances' dicts are detached from their objects (dictwatch_detach). */

    /* Checks that come in hundreds (crowd.c). */
    Check **crowd; /* Borrowed, as in `checks`. */
    Py_ssize_t crowd_count;
    Py_ssize_t crowd_capacity;
    Py_ssize_t crowd_turn; /* Which one's turn it is. */
    Table crowd_owners; /* owner -> Check */
    Py_ssize_t crowd_rest; /* Looks until somebody has a turn. */
    Py_ssize_t crowd_plain; /* How many belong to no instance. */
    Check *crowd_recent[256]; /* Borrowed: those that are compared at each look; few, as a rule. */
    Py_ssize_t crowd_recent_count;
    Py_ssize_t crowd_recent_turn; /* Which one gives way to the next. */
    int crowd_is_large; /* It is not compared as a whole at each look. */
#if !HAS_DICT_WATCHERS
    Check **crowd_young; /* Borrowed: those that have joined since the last look. */
    Py_ssize_t crowd_young_count;
    Py_ssize_t crowd_young_capacity;
    Py_ssize_t crowd_others; /* How many do not compare dicts. */
    int crowd_is_still; /* No dict at all has been stored to since the last look. */
    int crowd_is_due; /* All are to be compared at the coming look. */
    ClockReading crowd_stored; /* When last asked whether dicts have been stored to. */
#endif
    uint64_t crowd_look; /* Number of the latest look that has compared all, */
    PyCodeObject *crowd_place; /* and where that was. Owned; NULL when it is not known. */
    int crowd_place_offset;

    /* Frames that are spoken of (frames.c). */
    Table frame_refs; /* PyFrameObject -> FrameRef */
    Py_ssize_t frame_check_count; /* Armed checks on frames. */
    destructor frame_dealloc; /* Of the frame type itself, while ours stands before it. */
    objobjargproc set_frame_local; /* The same for f_locals[name] = value (3.13+). */

    /* Functions whose calls are noted (calls.c). */
    WatchedFunction *functions;
    Py_ssize_t function_count;

    /* Layouts (layout.c). */
    PyObject *layouts; /* Owned; NULL when none was ever watched. */
    Relay *relays; /* Owned. */

    /* Containers that tell of their changes (containers/told.c). */
    Table told; /* owner -> the first of its checks */
    Table told_slots; /* PyMemberDef -> how many checks there are of such slots (containers/slots.c) */
    int item_stores; /* Instructions that store items are kept from doing so by themselves (monitoring.c). */

    /* Recheck (recheck.c). */
    Check **checks; /* Borrowed; a check takes itself off before it dies. */
    Py_ssize_t check_count;
    Py_ssize_t check_capacity;
    Py_ssize_t other_checks; /* Those that are not of lists. */
    Py_ssize_t call_checks; /* Those of them that make calls. */
    Py_ssize_t item_checks; /* Those of items of dicts, the last ones. */
#if HAS_DICT_VERSIONS
    ClockReading items_compared; /* When these have been found as they were. */
    PyObject *clock; /* Owned (clock.c); NULL when it was never asked. */
    uint64_t clock_readings; /* How often it was. */
#endif
    const PyCodeObject *called_code; /* Never followed: whose instruction made the latest call (monitoring.c, I3), */
    int called_unit; /* and its unit. NULL when that does not matter. */
    Py_ssize_t large_count; /* Armed checks of large contents (large.c), and of the crowd. */
    uint64_t look; /* Number of the latest look. */
    PyThreadState *last_thread; /* Never followed, only compared, until found among the living threads. */
    Suspended suspended[MOST_SUSPENDED]; /* As threads were found when another one looked. */
    int next_suspended;
    Suspended was; /* How the running one was; `code` is NULL where that is not known. */
    unsigned long switches; /* How often threads had taken turns when the latest look began. */
    const unsigned long *switches_now; /* The interpreter's. */

    /* Variables that functions share (shared.c). */
    Check **shared; /* Borrowed, as `checks`. */
    Py_ssize_t shared_count;
    Py_ssize_t shared_capacity;
    int shared_level; /* EFFECT_SHARED while stores to them are of interest, in any code; else 0. */
    setter set_contents; /* The interpreter's own, of `cell_contents`, while ours stands before it. */
    struct {
        const void *frame; /* Never followed: it is about to store; NULL for none. */
        const PyCodeObject *code; /* Never followed. */
        int unit;
    } storing;

    /* Functions of other tools (tools.c). */
    PyTypeObject *stand_in_type; /* Owned. */
    int tools_stand; /* We stand before them (standins.c). */
    RunningCall *tool_calls;
    Py_ssize_t tool_call_count;
    Py_ssize_t tool_call_capacity;
    Py_ssize_t unfinished_calls; /* Those whose end nobody tells. */
    uint64_t tool_call_number; /* The last one given. */

    /* Threads that no event tells of (unheard.c). */
    Unheard *unheard;
    Py_ssize_t unheard_count;
    Py_ssize_t unheard_capacity;
    uint64_t latest_thread;
    const uint64_t *latest_thread_now; /* The interpreter's. */

    /* An exception on its way from an instruction that has finished (raising.c). */
    struct {
        PyCodeObject *code; /* Owned; NULL when there is none. */
        PyObject *table; /* Owned: the code's own exception table while it carries another; NULL while not. */
        PyObject *exception; /* Owned; NULL once its traceback is right. */
        int offset; /* In bytes, of the instruction that is to have raised. */
    } raising;

    /* Programs that are started as children (children.c). */
    struct {
        PyObject *function; /* Owned; NULL while they are not noted. */
        PyMethodDef *definition;
    } starters[STARTERS];
    PyObject *children; /* Owned; NULL likewise. */

    /* Trace function (tracing.c, 3.11). */
    int tracing; /* Our trace function is on. */
    int installing; /* We ourselves set trace functions just now. */
    int audited; /* Our audit hook is in place, for good. */
    PyThreadState *thread_head; /* Never followed: head of the thread list when last looked at. */
    Traced **traced;
    Py_ssize_t traced_count;
    _PyFrameEvalFunction run_frame; /* Who ran frames before us; NULL while we are not asked to (threads.c). */
#if !HAS_MONITORING
    /* Threads to come (threads.c). */
    uint64_t awaited_thread;
    const PyThreadState *setting_thread; /* Never followed: sets a trace function of its own just now. NULL for none. */
    /* Trace functions that the program sets (settrace.c). */
    PyObject *settrace; /* Owned. */
    PyMethodDef *settrace_def;
#endif
} CoreState;

/* module.c: the state of the one interpreter that the callbacks without a user pointer serve. */
CoreState *state_for_callback(void);

/* children.c */
PyObject *children_note(PyObject *module, PyObject *args);
PyObject *children_take(PyObject *module, PyObject *unused);
void children_end(CoreState *state);

/* events.c */
int events_note(CoreState *state, PyObject *token, DeltaKind kind, PyObject *data, const Blame *blame);
void events_miss(CoreState *state, PyObject *token);
/* Where the handler is called from. */
typedef enum {
    IN_EVENT, /* Our callback for an event of the interpreter, which gives no other events meanwhile. */
    ANYWHERE,
} Caller;
int events_drain(CoreState *state, Caller caller);
void events_drain_later(void);
PyObject *events_ask_for_drain(PyObject *module, PyObject *unused);
int events_wait_for(CoreState *state, PyThreadState *thread);
int events_is_own(void);
void events_see_signals(CoreState *state);
int events_is_draining(void);
PyObject *events_own(PyObject *module, PyObject *flag);
PyObject *events_let_run(PyObject *module, PyObject *flag);
PyObject *events_call_as_own(PyObject *function);
PyObject *events_evaluate(PyObject *module, PyObject *function);
PyObject *events_take(PyObject *module, PyObject *unused);
PyObject *events_take_missed(PyObject *module, PyObject *unused);
PyObject *events_set_due(PyObject *module, PyObject *number);
PyObject *events_forget_threads(PyObject *module, PyObject *unused);
void events_clear(CoreState *state);
void blame_release(Blame *blame);
void blame_current(Blame *blame);
void blame_caller(Blame *blame);

/* arming.c */
void arming_begin(CoreState *state, DeltaKind kind, PyObject *data, const Blame *blame);
void arming_end(CoreState *state);
void arming_wait(CoreState *state);
void arming_wait_to_begin(CoreState *state, PyThreadState *me, PyCodeObject *code);
int arming_keeps_waiting(void);
PyObject *arming_is_doubtful(PyObject *module, PyObject *unused);
void arming_forget_threads(CoreState *state);

/* releasing.c */
int releasing_hold_records(CoreState *state);
void releasing_make_ready(CoreState *state);
PyObject *releasing_lighten(PyObject *module, PyObject *args);
PyObject *releasing_has_thread(PyObject *module, PyObject *number);
int releasing_waits_for(const CoreState *state, const PyThreadState *thread);
void releasing_release(CoreState *state, Caller caller);
void releasing_forget_threads(CoreState *state);
void releasing_clear(CoreState *state);
PyObject *releasing_hold(PyObject *module, PyObject *args);

/* calling.c */
PyObject *calling_take_steps(CoreState *state, PyObject *result);
PyObject *calling_take_steps_here(PyObject *module, PyObject *result);
PyObject *calling_deliver_line(PyObject *module, PyObject *frame);
PyObject *calling_deliver_return(PyObject *module, PyObject *frame);
#if !HAS_MONITORING
PyFrameObject *calling_take_told(void);
#endif

/* instrument.c */
int instrument_code(CoreState *state, CodeInfo *info, int again);
int instrument_all(CoreState *state, int again);
int instrument_known(CoreState *state, int again);
int instrument_running(CoreState *state);
void instrument_stop_after(CoreState *state, const Blame *blame);
void instrument_stop_here(CoreState *state);
void instrument_stop_in(CoreState *state, PyFrameObject *frame);
int instrument_end_stop(CoreState *state, CodeInfo *info);
void instrument_unlink(CoreState *state, CodeInfo *info);
PyObject *instrument_use_tool(PyObject *module, PyObject *args);
PyObject *instrument_set_level(PyObject *module, PyObject *effects);
PyObject *instrument_watch_item_stores(PyObject *module, PyObject *flag);
int instrument_see_threads(CoreState *state);
int instrument_anew(CoreState *state);
int instrument_set_hooked(CoreState *state, int hooked);
void instrument_clear(CoreState *state);

/* hooks.c */
void hooks_begin(CoreState *state);
void hooks_see(CoreState *state, PyObject *object);
void hooks_expect(CoreState *state, const Check *check);
void hooks_survey(CoreState *state);
void hooks_take_level(CoreState *state, long before);

/* raising.c */
int raising_raise(CoreState *state, PyObject *exception, PyObject *frame, int writer);
void raising_correct_traceback(CoreState *state, PyObject *exception, PyObject *traceback);
void raising_end(CoreState *state);

/* dictwatch.c */
PyObject *dictwatch_arm(PyObject *module, PyObject *args);
PyObject *dictwatch_disarm(PyObject *module, PyObject *args);
PyObject *dictwatch_is_usable(PyObject *module, PyObject *unused);
PyObject *dictwatch_detach(PyObject *module, PyObject *dict);
int dictwatch_traverse(CoreState *state, visitproc visit, void *arg);
void dictwatch_clear(CoreState *state);

/* content.c: what is compared. */
int check_changed(CoreState *state, Check *check);

/* differences.c */
int check_report(CoreState *state, Check *check, const Blame *blame);
int check_note(CoreState *state, Check *check, DeltaKind kind, PyObject *data, const Blame *blame);
int check_note_end(CoreState *state, Check *check, const Blame *blame);

/* check.c */
extern PyType_Spec check_spec;
void check_lose_frame(Check *check);
void checks_clear(CoreState *state);
void check_suspend(Check *check);
void check_belong(PyObject *check, Part *part, PyObject *object);

/* True when two checks compare the same cell. */
int check_is_like(PyObject *one, PyObject *other);

/* frames.c */
PyObject *frame_local(PyObject *module, PyObject *args);
PyObject *frame_cell(PyObject *module, PyObject *args);

/* recheck.c: comparing all there is. */
int recheck_add(CoreState *state, Check *check);
void recheck_remove(CoreState *state, Check *check);
int recheck_finds_change(CoreState *state, Look look);
int recheck_report(CoreState *state, Check *check, const Blame *blame, Look look);
void recheck_report_all(CoreState *state, const Blame *blame, Look look);
void recheck_catch_up(CoreState *state);
void recheck_leave_ours(CoreState *state, Blame *blame);
void recheck_leave_own_frames(CoreState *state, Blame *blame);
int recheck_end_frame(CoreState *state);
PyObject *recheck_set_opcodes(PyObject *module, PyObject *args);
PyObject *recheck_set_level(PyObject *module, PyObject *effects);
PyObject *recheck_resync(PyObject *module, PyObject *unused);

/* blaming.c */
/* True when the latest look was another thread's, or some thread has run since. */
int others_have_run(const CoreState *state);
/* Note how threads have taken turns, and return how often: what `switches` is to be once the look has been taken. */
unsigned long blame_begin_look(CoreState *state);
void blame_weigh_threads(CoreState *state, Blame *blame);
void blame_weigh_all_threads(CoreState *state, Blame *blame);

/* waiting.c */
int waiting_elsewhere(const PyThreadState *thread);

/* unheard.c */
void unheard_begin(CoreState *state, PyCodeObject *code, int offset);
void unheard_doubt(const CoreState *state, Blame *blame);
int unheard_may_run(const CoreState *state);
void unheard_end(CoreState *state);
void unheard_clear(CoreState *state);

/* monitoring.c */
PyObject *monitoring_on_instruction(CoreState *state, PyObject *const *args, Py_ssize_t count);
PyObject *monitoring_on_start(CoreState *state, PyObject *const *args, Py_ssize_t count);
PyObject *monitoring_on_raise(CoreState *state, PyObject *const *args, Py_ssize_t count);
PyObject *monitoring_on_exit(CoreState *state, PyObject *const *args, Py_ssize_t count);
PyObject *monitoring_look_back(PyObject *module, PyObject *frame);

/* calls.c */
int calls_note(CoreState *state, const CodeInfo *info);
PyObject *calls_arm(PyObject *module, PyObject *args);
PyObject *calls_disarm(PyObject *module, PyObject *function);
void calls_clear(CoreState *state);
/* sites.c */
PyObject *sites_set(PyObject *module, PyObject *args);

/* access.c */
PyObject *access_arm(PyObject *module, PyObject *args);
PyObject *access_disarm(PyObject *module, PyObject *args);
PyObject *access_set_interest(PyObject *module, PyObject *args);
PyObject *access_restart_starts(PyObject *module, PyObject *all);
int access_traverse(CoreState *state, visitproc visit, void *arg);
void access_clear(CoreState *state);
InterpreterFrame *access_ending(CoreState *state);
int access_awaits(const CoreState *state, const CodeInfo *info);
int access_open(CoreState *state);
void access_close(CoreState *state);
int access_begin(CoreState *state, CodeInfo *info, int unit, InterpreterFrame *frame);
void access_end(CoreState *state, CodeInfo *info, int unit, InterpreterFrame *frame);
void access_leave(CoreState *state, InterpreterFrame *frame);
void access_saw_change(CoreState *state, PyObject *token, const PyThreadState *thread);

/* tracing.c (3.11) */
PyObject *tracing_start(PyObject *module, PyObject *unused);
PyObject *tracing_stop(PyObject *module, PyObject *unused);
PyObject *tracing_begin_line(PyObject *module, PyObject *frame);
/* Where this thread stands, as its last event told, for the time after code of ours that has events of its own. */
#if !HAS_MONITORING
typedef struct {
    const PyCodeObject *code; /* Never followed; NULL when it is not known. */
    int offset;
    int exact;
} Position;
Position tracing_position(CoreState *state, PyThreadState *thread);
void tracing_go_back(CoreState *state, Position position);
#endif
void tracing_stop_after(const Blame *blame);
void tracing_see_instructions(CoreState *state);
int tracing_see_thread(CoreState *state, const PyThreadState *thread);
int tracing_is_shared(const CoreState *state);
void tracing_clear(CoreState *state);

/* threads.c */
void threads_update(CoreState *state);
#if !HAS_MONITORING
void threads_expect(CoreState *state, int starts);
#endif

/* settrace.c (3.11) */
#if !HAS_MONITORING
void settrace_begin(CoreState *state);
void settrace_end(CoreState *state);
#endif

#endif
