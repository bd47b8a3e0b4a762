# cmake --install: bin/cogi, lib/libcogi.so, include/cogi/, cogi.pc and find_package(cogi), which gives the target cogi::cogi
# (libcogi.so and its headers) and the function cogi_add_cgi().
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# The public headers, as their users include them: #include "cgi/handler.h" with include/cogi in the search path. These, and
# what they include.
set(COGI_PUBLIC_HEADERS
  cgi/handler.h
  coroutine/channel.h coroutine/event_loop.h coroutine/local.h coroutine/offload.h coroutine/resume.h coroutine/scheduler.h
  coroutine/sync.h coroutine/task.h
  coroutine/libco/co_closure.h coroutine/libco/co_comm.h coroutine/libco/co_routine.h coroutine/libco/co_routine_inner.h
  coroutine/libco/co_routine_specific.h coroutine/libco/coctx.h)
set(todo ${COGI_PUBLIC_HEADERS})
while(todo)
  list(POP_FRONT todo header)
  get_filename_component(folder ${header} DIRECTORY)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${header})
  file(STRINGS ${header} lines REGEX "^#include \"")
  foreach(line ${lines})
    string(REGEX REPLACE "^#include \"([^\"]+)\".*" "\\1" included "${line}")
    if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/${included})
      set(included ${folder}/${included})  # libco's lie side by side
    endif()
    if(NOT included IN_LIST COGI_PUBLIC_HEADERS)
      list(APPEND COGI_PUBLIC_HEADERS ${included})
      list(APPEND todo ${included})
    endif()
  endforeach()
endwhile()
foreach(header ${COGI_PUBLIC_HEADERS})
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cogi/${folder})
endforeach()

set_target_properties(cogi_shared PROPERTIES EXPORT_NAME cogi)
target_include_directories(cogi_shared INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/cogi>)
target_compile_features(cogi_shared INTERFACE cxx_std_20)
set_target_properties(cogi PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
install(TARGETS cogi RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS cogi_shared EXPORT cogi LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})

set(COGI_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/cogi)
install(EXPORT cogi NAMESPACE cogi:: FILE cogiTargets.cmake DESTINATION ${COGI_PACKAGE_DIR})
configure_package_config_file(cmake/cogiConfig.cmake.in ${CMAKE_BINARY_DIR}/cogiConfig.cmake
  INSTALL_DESTINATION ${COGI_PACKAGE_DIR} PATH_VARS CMAKE_INSTALL_BINDIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/cogiConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/cogiConfig.cmake ${CMAKE_BINARY_DIR}/cogiConfigVersion.cmake
  ${CMAKE_CURRENT_SOURCE_DIR}/cmake/CogiAddCgi.cmake DESTINATION ${COGI_PACKAGE_DIR})

configure_file(cmake/cogi.pc.in ${CMAKE_BINARY_DIR}/cogi.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/cogi.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(FILES coroutine/gdb/cogi.py coroutine/gdb/cfi.py DESTINATION ${CMAKE_INSTALL_DATADIR}/cogi/gdb)
