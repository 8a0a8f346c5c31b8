# llhttp's C source where the system has no library of it: copied, since it lies outside of both trees, and built strict.
if LLHTTP_BUILT_IN
noinst_LIBRARIES += libllhttp.a
LLHTTP_BUILT = libllhttp.a
nodist_libllhttp_a_SOURCES = llhttp-llhttp.c llhttp-api.c llhttp-http.c
libllhttp_a_CPPFLAGS = $(LLHTTP_CFLAGS)
libllhttp_a_CFLAGS = -w $(HARDEN_CFLAGS)
CLEANFILES += $(nodist_libllhttp_a_SOURCES)
$(nodist_libllhttp_a_SOURCES): config.status
	$(AM_V_GEN)cp -f "$(LLHTTP_SOURCE)/$(@:llhttp-%=%)" $@ && chmod u+w $@
endif
