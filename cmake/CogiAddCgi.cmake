# cogi_add_cgi(NAME SOURCES... [FLAGS ...] [OUTPUT_DIRECTORY DIR]): NAME.cgi, an in-process module made by `cogi cc` of unmodified
# C or C++ sources, as a target NAME of ALL. FLAGS go to compiler and linker as they are (-O2, -std=c++20, -lsqlite3); the file lies in
# DIR (default: CMAKE_CURRENT_BINARY_DIR). Headers that the sources include are no dependencies: list them among the sources.
function(cogi_add_cgi name)
  cmake_parse_arguments(ARG "" "OUTPUT_DIRECTORY" "FLAGS" ${ARGN})
  if(NOT ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "cogi_add_cgi(${name}): names no sources")
  endif()
  if(NOT ARG_OUTPUT_DIRECTORY)
    set(ARG_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
  endif()
  if(TARGET cogi)
    set(command cogi)  # in cogi's own tree
  else()
    set(command ${COGI_EXECUTABLE})
  endif()
  foreach(source ${ARG_UNPARSED_ARGUMENTS})
    get_filename_component(path ${source} ABSOLUTE)
    list(APPEND paths ${path})
  endforeach()
  set(compiled ${paths})
  list(FILTER compiled EXCLUDE REGEX "\\.(h|hh|hpp|hxx)$")
  foreach(variable CC:CMAKE_C_COMPILER CXX:CMAKE_CXX_COMPILER)  # the compilers of this build, where it has them
    string(REPLACE ":" ";" variable ${variable})
    list(POP_BACK variable compiler)
    if(${compiler})
      list(APPEND environment ${variable}=${${compiler}})
    endif()
  endforeach()
  set(module ${ARG_OUTPUT_DIRECTORY}/${name}.cgi)
  add_custom_command(OUTPUT ${module} DEPENDS ${paths} ${command}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${ARG_OUTPUT_DIRECTORY}
    COMMAND ${CMAKE_COMMAND} -E env ${environment} -- ${command} cc ${compiled} -o ${module} ${ARG_FLAGS}
    COMMENT "cogi cc ${name}.cgi" VERBATIM COMMAND_EXPAND_LISTS)
  add_custom_target(${name} ALL DEPENDS ${module})
endfunction()
