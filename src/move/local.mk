noinst_LIBRARIES += libmove.a
libmove_a_SOURCES =
