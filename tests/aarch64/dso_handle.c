// What the compiler's start files would bring: the name of this shared object for __cxa_atexit().
__attribute__((visibility("hidden"))) void* __dso_handle = &__dso_handle;
