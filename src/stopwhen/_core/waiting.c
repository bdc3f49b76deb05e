/* Where a thread that does not run waits: for the interpreter's lock, so that it may have done something since it was
 * last seen, or for something else inside a function in C, which it has not returned from. Only Linux tells.
 */
#define Py_BUILD_CORE 1
#include "state.h"

#if defined(__linux__)

#include <internal/pycore_runtime.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* In which call of the system, if in any, and its first argument; 0 when that is not known. */
static int
current_call(unsigned long native_id, long *number, uintptr_t *argument)
{
    char path[64];
    char text[128];
    (void)PyOS_snprintf(path, sizeof(path), "/proc/self/task/%lu/syscall", native_id);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, text, sizeof(text) - 1);
    if (file >= 0) {
        (void)close(file);
    }
    if (length <= 0) {
        return 0;
    }
    text[length] = '\0';
    char *rest = NULL;
    *number = strtol(text, &rest, 10);
    if (rest == text || *rest != ' ' || *number < 0) {
        return 0; /* "running", or blocked elsewhere, as where a page is brought. */
    }
    *argument = (uintptr_t)strtoull(rest, NULL, 16);
    return 1;
}

/* True when `thread`, not the running one, is known to wait for something else than the interpreter's lock. */
int
waiting_elsewhere(const PyThreadState *thread)
{
    long number = 0;
    uintptr_t argument = 0;
    int error = errno;
    int known = current_call(thread->native_thread_id, &number, &argument);
    errno = error;
    /* The lock is a part of the runtime's, or of its main interpreter, which is another one. */
    uintptr_t begin = (uintptr_t)&_PyRuntime;
    return known && (number != SYS_futex || argument < begin || argument >= begin + sizeof(_PyRuntime));
}

#else

int
waiting_elsewhere(const PyThreadState *Py_UNUSED(thread))
{
    return 0;
}

#endif
