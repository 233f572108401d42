# Flags and helpers shared by all folders.

add_library(em_flags INTERFACE)
target_include_directories(em_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(em_flags INTERFACE _GNU_SOURCE EM_VERSION="${PROJECT_VERSION}")
target_compile_options(em_flags INTERFACE
  $<$<COMPILE_LANGUAGE:C,CXX>:-Wall -Wextra -Wshadow -Wvla -Wno-unused-parameter>
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>
  $<$<COMPILE_LANGUAGE:C,CXX>:-ffp-contract=off>)     # fused operations are written where they are meant: same bits everywhere
target_link_libraries(em_flags INTERFACE m)
if(EVALMASK_SANITIZE OR EVALMASK_FUZZ)
  set(sanitize -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_compile_options(em_flags INTERFACE $<$<COMPILE_LANGUAGE:C,CXX>:${sanitize}>)
  target_link_options(em_flags INTERFACE ${sanitize})
endif()
if(EVALMASK_FUZZ)
  target_compile_options(em_flags INTERFACE $<$<COMPILE_LANGUAGE:C,CXX>:-fsanitize=fuzzer-no-link>)
endif()

# em_add_library(NAME LIBS lib... SOURCES file...): a folder of the house as a static library.
function(em_add_library name)
  cmake_parse_arguments(A "" "" "SOURCES;LIBS" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  target_link_libraries(${name} PUBLIC em_flags ${A_LIBS})
endfunction()

# em_add_test(NAME LIBS lib... SOURCES file...): a cmocka program as one ctest. EM_TEST_DATA is
# the tests/ folder, EM_TEST_BINARY the built evalmask (where the test depends on it).
function(em_add_test name)
  cmake_parse_arguments(A "" "TIMEOUT" "SOURCES;LIBS" ${ARGN})
  if(NOT CMOCKA_FOUND OR EVALMASK_FUZZ)
    return()
  endif()
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE em_flags PkgConfig::CMOCKA ${A_LIBS})
  target_compile_definitions(${name} PRIVATE EM_TEST_DATA="${PROJECT_SOURCE_DIR}/tests")
  add_test(NAME ${name} COMMAND ${name})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 1800)      # a slow or busy machine is no failure
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${A_TIMEOUT})
endfunction()

# em_add_fuzzer(NAME CORPUS dir LIBS lib... SOURCES file...): under clang with EVALMASK_FUZZ a
# libFuzzer program; otherwise a program that replays the corpus once, run as a ctest.
function(em_add_fuzzer name)
  cmake_parse_arguments(A "" "CORPUS" "SOURCES;LIBS" ${ARGN})
  if(EVALMASK_FUZZ)
    add_executable(${name} ${A_SOURCES})
    target_link_libraries(${name} PRIVATE em_flags ${A_LIBS} -fsanitize=fuzzer)
    add_test(NAME ${name} COMMAND ${CMAKE_COMMAND} -E env
      bash ${PROJECT_SOURCE_DIR}/tests/fuzz/run.sh $<TARGET_FILE:${name}> ${A_CORPUS})
  else()
    add_executable(${name} ${A_SOURCES} ${PROJECT_SOURCE_DIR}/tests/fuzz/replay.c)
    target_link_libraries(${name} PRIVATE em_flags ${A_LIBS})
    add_test(NAME ${name} COMMAND ${name} ${A_CORPUS})
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT 1800)
endfunction()
