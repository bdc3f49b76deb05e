/* The short way of an event: most are such as these two questions tell, and what they cost is what watching costs. */
#ifndef STOPWHEN_QUICK_H
#define STOPWHEN_QUICK_H

#include "codeinfo.h"
#include "crowd.h"

/* True when nothing waits to be told or handled: an event that is due is for the sake of checks, or of what is taken next. */
static inline Py_ALWAYS_INLINE int
is_quiet(const CoreState *state, const CodeInfo *info)
{
    size_t pointers = (size_t)state->raising.code | (size_t)state->newborn;
    size_t counts = (size_t)(state->begun_count | state->access_count | state->queued | state->unheard_count |
                             state->unfinished_calls | info->local_checks | info->calls);
    int flags = state->has_new_class | state->hooked | state->due | info->is_ours;
    return !(pointers | counts | (unsigned int)flags) && *state->latest_thread_now == state->latest_thread;
}

/* The same, and nothing is about but checks, and one thread: an event is a look, or for what is taken next, and no more. */
static inline Py_ALWAYS_INLINE int
has_checks_alone(const CoreState *state, const CodeInfo *info)
{
    int flags = state->shared_level | state->several_threads | state->blind | info->awaited;
    return is_quiet(state, info) && !flags && state->frame_refs.count == 0 && state->last_thread != NULL;
}

/* The same, and an event that is due is a look at each check. */
static inline Py_ALWAYS_INLINE int
is_plain(const CoreState *state, const CodeInfo *info)
{
    return !(state->large_count | state->crowd_count) && has_checks_alone(state, info);
}

/* The same, but where many lists and the like are compared, some of which what is taken next may be (crowd.c). */
static inline Py_ALWAYS_INLINE int
is_plain_but_for_crowd(const CoreState *state, const CodeInfo *info)
{
    return state->large_count == crowd_is_large(state) && state->crowd_plain == state->crowd_count &&
           has_checks_alone(state, info);
}

/* True when no check differs; false as well where that takes more than to compare lists and the versions of dicts. */
static inline Py_ALWAYS_INLINE int
are_surely_same(CoreState *state)
{
    Py_ssize_t lists = state->check_count - state->item_checks;
    if (state->other_checks > state->item_checks + state->call_checks) {
        return 0;
    }
    /* A call may run code that disarms checks. */
    for (Py_ssize_t i = 0; i < lists && i < state->check_count; i++) {
        Check *check = state->checks[i];
        if (check->kind == CHECK_CALL ? !check_call_is_surely_same(check) : check_list_differs(check)) {
            return 0;
        }
    }
    if (lists == state->check_count || recheck_items_are_still(state)) {
        return 1;
    }
    for (Py_ssize_t i = lists; i < state->check_count; i++) {
        if (!check_is_surely_same(state->checks[i])) {
            recheck_forget_items(state);
            return 0;
        }
    }
    return 1;
}

#endif
