# What `cmake --install` puts where. The program finds its sample as ../share/evalmask from where it
# lies (eval/process/installed.c), so that a prefix can be moved.
if(NOT TARGET evalmask)
  return()
endif()

# One source for help and man page: the table of options.
set(man_page ${PROJECT_BINARY_DIR}/evalmask.1)
add_custom_command(OUTPUT ${man_page}
  COMMAND evalmask help --man > ${man_page}
  DEPENDS evalmask COMMENT "Writing evalmask.1" VERBATIM)
add_custom_target(man ALL DEPENDS ${man_page})

install(TARGETS evalmask RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES ${man_page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES data/sample.jsonl.zst data/tinystories.jsonl.zst data/base.bin data/instruct.bin data/tinystories-656k.bin
  DESTINATION share/evalmask)
install(DIRECTORY configs DESTINATION share/evalmask)
install(FILES ${EM_RESULTS_SCHEMA} DESTINATION share/evalmask)
install(FILES data/bard-lora/adapter_config.json data/bard-lora/adapter_model.safetensors DESTINATION share/evalmask/bard-lora)
install(FILES README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES data/SOURCES.md data/Apache-2.0.txt DESTINATION ${CMAKE_INSTALL_DOCDIR}/data)
