noinst_LIBRARIES += libclient.a
libclient_a_SOURCES =
