// Closures by macro, for code from before lambdas. Up to six captured variables.
//
//   co_ref(all, total, list);                       // `all` holds references: all.total, all.list
//   co_func(Add, all, i) { all.list.push_back(i); } // a class Add that holds copies of all and i
//   co_func_end;
//   stCoClosure_t* closure = new Add(all, i);  closure->exec();  delete closure;
#ifndef COGI_COROUTINE_LIBCO_CO_CLOSURE_H_
#define COGI_COROUTINE_LIBCO_CO_CLOSURE_H_

#include <type_traits>

struct stCoClosure_t {
  virtual void exec() = 0;
  virtual ~stCoClosure_t() {}
};

// COGI_CO_EACH(m, name, a, b, ...) is m(name, a) m(name, b) ...; COGI_CO_LIST the same with commas.
#define COGI_CO_COUNT_(a1, a2, a3, a4, a5, a6, n, ...) n
#define COGI_CO_COUNT(...) COGI_CO_COUNT_(__VA_ARGS__, 6, 5, 4, 3, 2, 1, 0)
#define COGI_CO_JOIN_(a, b) a##b
#define COGI_CO_JOIN(a, b) COGI_CO_JOIN_(a, b)
#define COGI_CO_EACH1(m, n, a) m(n, a)
#define COGI_CO_EACH2(m, n, a, ...) m(n, a) COGI_CO_EACH1(m, n, __VA_ARGS__)
#define COGI_CO_EACH3(m, n, a, ...) m(n, a) COGI_CO_EACH2(m, n, __VA_ARGS__)
#define COGI_CO_EACH4(m, n, a, ...) m(n, a) COGI_CO_EACH3(m, n, __VA_ARGS__)
#define COGI_CO_EACH5(m, n, a, ...) m(n, a) COGI_CO_EACH4(m, n, __VA_ARGS__)
#define COGI_CO_EACH6(m, n, a, ...) m(n, a) COGI_CO_EACH5(m, n, __VA_ARGS__)
#define COGI_CO_EACH(m, n, ...) \
  COGI_CO_JOIN(COGI_CO_EACH, COGI_CO_COUNT(__VA_ARGS__))(m, n, __VA_ARGS__)
#define COGI_CO_LIST1(m, n, a) m(n, a)
#define COGI_CO_LIST2(m, n, a, ...) m(n, a), COGI_CO_LIST1(m, n, __VA_ARGS__)
#define COGI_CO_LIST3(m, n, a, ...) m(n, a), COGI_CO_LIST2(m, n, __VA_ARGS__)
#define COGI_CO_LIST4(m, n, a, ...) m(n, a), COGI_CO_LIST3(m, n, __VA_ARGS__)
#define COGI_CO_LIST5(m, n, a, ...) m(n, a), COGI_CO_LIST4(m, n, __VA_ARGS__)
#define COGI_CO_LIST6(m, n, a, ...) m(n, a), COGI_CO_LIST5(m, n, __VA_ARGS__)
#define COGI_CO_LIST(m, n, ...) \
  COGI_CO_JOIN(COGI_CO_LIST, COGI_CO_COUNT(__VA_ARGS__))(m, n, __VA_ARGS__)

#define COGI_CO_TYPE(n, a) \
  typedef typename std::remove_reference<decltype(a)>::type n##_co_type_##a;
#define COGI_CO_VALUE(n, a) n##_co_type_##a a;
#define COGI_CO_REFERENCE(n, a) n##_co_type_##a& a;
#define COGI_CO_VALUE_PARAMETER(n, a) const n##_co_type_##a& a##_
#define COGI_CO_REFERENCE_PARAMETER(n, a) n##_co_type_##a& a##_
#define COGI_CO_INITIALISER(n, a) a(a##_)
#define COGI_CO_ARGUMENT(n, a) a

#define co_ref(name, ...)                                                                \
  COGI_CO_EACH(COGI_CO_TYPE, name, __VA_ARGS__)                                          \
  struct name##_co_ref {                                                                 \
    COGI_CO_EACH(COGI_CO_REFERENCE, name, __VA_ARGS__)                                   \
    explicit name##_co_ref(COGI_CO_LIST(COGI_CO_REFERENCE_PARAMETER, name, __VA_ARGS__)) \
        : COGI_CO_LIST(COGI_CO_INITIALISER, name, __VA_ARGS__) {}                        \
  } name(COGI_CO_LIST(COGI_CO_ARGUMENT, name, __VA_ARGS__))

#define COGI_CO_FUNC_WITH(name, ...)                                        \
  COGI_CO_EACH(COGI_CO_TYPE, name, __VA_ARGS__)                             \
  struct name : public stCoClosure_t {                                      \
    COGI_CO_EACH(COGI_CO_VALUE, name, __VA_ARGS__)                          \
    explicit name(COGI_CO_LIST(COGI_CO_VALUE_PARAMETER, name, __VA_ARGS__)) \
        : COGI_CO_LIST(COGI_CO_INITIALISER, name, __VA_ARGS__) {}           \
    void exec()
#define COGI_CO_FUNC_BARE(name)        \
  struct name : public stCoClosure_t { \
    void exec()

#define COGI_CO_FUNC_PICK_(n, a1, a2, a3, a4, a5, a6, which, ...) which
#define co_func(...)                                                                             \
  COGI_CO_FUNC_PICK_(__VA_ARGS__, COGI_CO_FUNC_WITH, COGI_CO_FUNC_WITH, COGI_CO_FUNC_WITH,       \
                     COGI_CO_FUNC_WITH, COGI_CO_FUNC_WITH, COGI_CO_FUNC_WITH, COGI_CO_FUNC_BARE, \
                     unused)                                                                     \
  (__VA_ARGS__)
#define co_func_end }

#endif  // COGI_COROUTINE_LIBCO_CO_CLOSURE_H_
