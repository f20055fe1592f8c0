# SPDX-License-Identifier: BSD-3-Clause
#
# make              the four programs, into build/bin
# make deps         install what is needed (Debian and its kin, as root)
# make demo         deps, build, show it at work
# make test         deps, build, run every test
# make tests        build the test programs only
# make bench        the stack beside the kernel (as root); OUT=FILE: JSON as well;
#                   ROWS=PATTERN ROUNDS=N SVG=FILE, see test/bench/run.py
# make install      PREFIX=/usr/local SYSCONFDIR=/etc DESTDIR=
# make tidy | cppcheck | check-format
# make clean | distclean      distclean forgets the downloaded lwIP as well
#
# V=1                            show commands
# SANITIZE=address,undefined     a second build, in build-san
# WERROR=                        let warnings pass
# LWIP_TARBALL=/path             lwIP's source package, instead of a download
# CFLAGS, LDFLAGS, CC, BUILD     as usual
#
# A folder is a program, every .c in it is compiled: a new file needs no line
# here.  A unit test gets objects of other folders, and flags, by lines like
#     $(T)/unit/NAME: $(OBJ)/engine/noun.o
#     $(T)/unit/NAME: private UNIT_CFLAGS = $(DPDK_CFLAGS)
#     $(T)/unit/NAME: private LIBS = $(DPDK_LIBS)

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:

.PHONY: all
all:

SANITIZE ?=
BUILD ?= build$(if $(SANITIZE),-san)
# By one name: that of each object's dependencies
override BUILD := $(BUILD:$(CURDIR)/%=%)
CACHE ?= build
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
CFLAGS ?= -O2 -g
LDFLAGS ?=
WERROR ?= -Werror
PKG_CONFIG ?= pkg-config
CLANG_FORMAT ?= clang-format
CLANG_TIDY ?= clang-tidy
CPPCHECK ?= cppcheck
MUSL_GCC ?= musl-gcc
GO ?= go
LWIP_TARBALL ?=
export LWIP_TARBALL

OBJ := $(BUILD)/obj
BIN := $(BUILD)/bin

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %s  %s\n' '$(1)' '$(2)')

# --- flags ------------------------------------------------------------------

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes $(WERROR)
STD := -std=gnu11 -D_GNU_SOURCE -I.
HARDEN := -fPIE -fstack-protector-strong $(if $(SANITIZE),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
SAN := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=undefined)
DEPS = -MMD -MP -MF $@.d -MT $@
BASE = $(STD) $(CFLAGS) -fno-omit-frame-pointer $(HARDEN) $(SAN) $(if $(SANITIZE),-DGZ_SANITIZE)
LINK = -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS)
COMPILE = $(CC) $(BASE) $(DEPS) -c -o $@ $<

# Without DPDK nothing but these makes sense; the first three bring it.
NEED_NO_DPDK := deps demo test clean distclean uninstall check-format cppcheck
DPDK_PC := $(shell $(PKG_CONFIG) --cflags libdpdk 2>/dev/null)
ifeq ($(DPDK_PC),)
ifneq ($(filter-out $(NEED_NO_DPDK),$(or $(MAKECMDGOALS),all)),)
$(error libdpdk not found by $(PKG_CONFIG): run 'make deps', or install libdpdk-dev)
endif
endif

# -isystem: other people's headers are not held to our warnings.
DPDK_CFLAGS := $(patsubst -I%,-isystem %,$(DPDK_PC))

# Static, and only the drivers that are named: EAL starts in 115 ms and 7 MB,
# against 150 ms and 24 MB with the shared libraries (which load all drivers).
DPDK_DRIVERS ?= bus_vdev bus_pci mempool_ring net_null net_ring net_af_packet \
	net_af_xdp net_bond net_failsafe net_tap net_memif net_pcap net_vhost net_virtio net_vmxnet3 net_ena \
	net_e1000 net_igc net_ixgbe net_i40e net_iavf net_ice
# Mellanox's driver goes through rdma-core, which the programs would need everywhere.
ifneq ($(MLX5),)
override DPDK_DRIVERS += bus_auxiliary common_mlx5 net_mlx5
MLX5_LIBS := -lmlx5 -libverbs
endif
# What these need; releases split and merge libraries, so absent ones are left out.
DPDK_LIBRARIES := common_iavf vhost cryptodev dmadev ip_frag sched gro gso security \
	ethdev net mbuf mempool ring rib stack hash rcu timer pci meter cmdline kvargs \
	telemetry argparse log eal
DPDK_LIBDIR := $(shell $(PKG_CONFIG) --variable=libdir libdpdk 2>/dev/null)
dpdk-archives = $(patsubst $(DPDK_LIBDIR)/%,-l:%,$(wildcard $(1:%=$(DPDK_LIBDIR)/librte_%.a)))
# Without drivers, for unit tests of what uses a library
DPDK_NO_DRIVERS := -L$(DPDK_LIBDIR) \
	-Wl,--start-group $(call dpdk-archives,$(DPDK_LIBRARIES)) -Wl,--end-group -lnuma -lbsd
# ethdev's "class" of devices, by which one is found by address, is nobody's symbol.
DPDK_LIBS := -L$(DPDK_LIBDIR) \
	-Wl,--whole-archive $(call dpdk-archives,$(DPDK_DRIVERS) ethdev) -Wl,--no-whole-archive \
	-Wl,--start-group $(call dpdk-archives,$(DPDK_LIBRARIES)) -Wl,--end-group \
	-lpcap -lxdp -lbpf -lelf -lz -lnuma -lbsd -lcrypto $(MLX5_LIBS) -lpthread -ldl -lm \
	-Wl,--wrap=setsockopt,--wrap=ioctl # engine/port.c

# --- lwIP -------------------------------------------------------------------

# The pinned source package, unmodified; our options are in LWIP_PORT.
LWIP ?= $(CACHE)/lwip
LWIP_PORT ?= engine/lwip
LWIP_FETCHED := $(LWIP)/src/include/lwip/init.h
LWIP_CPPFLAGS := -I$(LWIP_PORT) -isystem $(LWIP)/src/include

LWIP_SRC := $(addprefix $(LWIP)/src/, \
	$(addprefix core/, altcp.c altcp_alloc.c altcp_tcp.c def.c dns.c inet_chksum.c \
		init.c ip.c mem.c memp.c netif.c pbuf.c raw.c stats.c sys.c tcp.c \
		tcp_in.c tcp_out.c timeouts.c udp.c) \
	$(addprefix core/ipv4/, acd.c autoip.c dhcp.c etharp.c icmp.c igmp.c ip4.c \
		ip4_addr.c ip4_frag.c) \
	$(addprefix core/ipv6/, dhcp6.c ethip6.c icmp6.c inet6.c ip6.c ip6_addr.c \
		ip6_frag.c mld6.c nd6.c) \
	netif/ethernet.c)
LWIP_OBJ := $(LWIP_SRC:$(LWIP)/src/%.c=$(OBJ)/lwip/%.o)

ifneq ($(wildcard $(LWIP_PORT)/lwipopts.h),)
LWIP_LIB := $(BUILD)/liblwip.a
else
$(warning $(LWIP_PORT)/lwipopts.h is missing: lwIP is left out)
LWIP_LIB :=
endif

$(LWIP_FETCHED):
	$(call say,LWIP,$(LWIP))
	$(Q).ci/lwip.sh $(LWIP) $(CACHE)/dl
$(LWIP_SRC): | $(LWIP_FETCHED) ;

# The IP layers hand what they receive to our hooks, gz_tcp_input() and so on; those
# of TCP and ICMP call lwIP's own then (only the callers are renamed).
$(OBJ)/lwip/core/ipv4/ip4.o $(OBJ)/lwip/core/ipv6/ip6.o: private LWIP_HOOK := -Dtcp_input=gz_tcp_input \
	-Dudp_input=gz_udp_input -Dicmp_input=gz_icmp_input -Dicmp6_input=gz_icmp6_input \
	-Dip6_reass=gz_ip6_reass
# What it puts together may be larger than a pbuf's length can say (udp_wire.c).
$(OBJ)/lwip/core/ipv6/ip6_frag.o: private LWIP_HOOK := -Dpbuf_header_force=gz_ip6_reassembled

# lwIP's headers are system headers, which -MMD leaves out, and all that they include.
$(LWIP_OBJ) $(patsubst %.c,$(OBJ)/%.o,$(wildcard engine/*.c engine/lwip/*.c)): $(LWIP_PORT)/lwipopts.h Makefile

# It shifts bytes of timestamps into the sign.
$(OBJ)/lwip/%.o: private LWIP_SAN := $(if $(SANITIZE),-fno-sanitize=shift)
$(OBJ)/lwip/%.o: $(LWIP)/src/%.c $(BUILD)/.flags
	$(call say,CC,$(patsubst $(CACHE)/%,%,$<))
	$(Q)mkdir -p $(@D)
	$(Q)$(COMPILE) $(SECTIONS) -w -fno-strict-aliasing $(LWIP_SAN) $(LWIP_HOOK) $(DPDK_CFLAGS) $(LWIP_CPPFLAGS)

$(BUILD)/liblwip.a: $(LWIP_OBJ)

# --- programs ---------------------------------------------------------------

# sources, by program; the dispatcher shares the port with the engine
CONFIG_SRC := $(wildcard config/*.c)
RUN_SRC := $(wildcard launcher/*.c)
ENGINE_SRC := $(wildcard engine/*.c engine/lwip/*.c)
DISPATCH_OWN := $(wildcard dispatch/*.c)
DISPATCH_SRC := $(if $(DISPATCH_OWN),$(DISPATCH_OWN) $(wildcard engine/port.c engine/netdev.c engine/eal.c engine/cpus.c engine/rss.c))
CTL_SRC := $(wildcard ctl/*.c)
# Linked once for each worker, with lwIP, and with variables of its own (engine/codes.h):
# what has to do with lwIP ...
WORKER_SRC := $(addprefix engine/, ack.c bbr.c black_hole.c code.c cookie.c demux.c dhcp.c gso.c icmp_wire.c ipv6.c linger.c listener.c \
	neigh_wire.c netif.c next_hop.c opening.c pace.c path.c pcbs.c rack.c rate.c recovery.c relay.c rx.c sack.c segment.c stack.c stats.c \
	timers.c timestamp.c tso.c udp_wire.c window.c worker.c lwip/sys.c)
# ... and what both sides need a part of: either side's is without the functions that it does
# not use, or it would not be linked.  No variables but counters.c's.
BOTH_SRC := $(addprefix engine/, arrival.c back.c counters.c fade.c join.c lane.c leave.c offer.c plane.c plane_error.c \
	relay.c segment.c slot_memory.c urgent.c lwip/sys.c wake.c)
PROCESS_SRC := $(filter-out $(WORKER_SRC), $(ENGINE_SRC)) $(BOTH_SRC)

CONFIG_LIB := $(if $(CONFIG_SRC),$(BUILD)/libgzconfig.a)

objects = $(1:%.c=$(OBJ)/%.o)
programs = $(if $(2),$(BIN)/$(1))
PROGRAMS := \
	$(call programs,gazelle-run,$(RUN_SRC)) \
	$(call programs,gazelle-engine,$(ENGINE_SRC)) \
	$(call programs,gazelle-dispatch,$(DISPATCH_SRC)) \
	$(call programs,gazelle-ctl,$(CTL_SRC))

all: $(PROGRAMS) $(CONFIG_LIB) $(LWIP_LIB)

$(BUILD)/libgzconfig.a: $(call objects,$(CONFIG_SRC))

# The agent is linked to its one address, and part of gazelle-run as a flat image.
AGENT_SRC := $(wildcard launcher/agent/*.c)
AGENT_OBJ := $(call objects,$(AGENT_SRC)) $(OBJ)/launcher/agent/entry.o
AGENT_CFLAGS := -O2 -g -ffreestanding -fno-builtin -mgeneral-regs-only -fno-stack-protector \
	-fcf-protection=none -fpie -fno-jump-tables -fno-tree-loop-distribute-patterns \
	-fno-asynchronous-unwind-tables -fvisibility=hidden -Wno-missing-prototypes

$(OBJ)/launcher/agent/%.o: launcher/agent/%.c $(BUILD)/.flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(STD) $(DEPS) $(WARN) $(AGENT_CFLAGS) -c -o $@ $<

$(OBJ)/launcher/agent/entry.o: launcher/agent/entry.S $(BUILD)/.flags
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(STD) $(DEPS) -c -o $@ $<

$(OBJ)/launcher/agent/agent.bin: $(AGENT_OBJ) launcher/agent/agent.ld
	$(call say,LD,$@)
	$(Q)ld -static -nostdlib -T launcher/agent/agent.ld -o $(@:.bin=.elf) $(AGENT_OBJ)
	$(Q)objcopy -O binary $(@:.bin=.elf) $@

$(OBJ)/launcher/agent/blob.o: launcher/agent/blob.S $(OBJ)/launcher/agent/agent.bin
	$(Q)$(CC) $(STD) -DAGENT_BIN='"$(OBJ)/launcher/agent/agent.bin"' -c -o $@ $<

$(BIN)/gazelle-run: $(call objects,$(RUN_SRC)) $(OBJ)/launcher/agent/blob.o $(CONFIG_LIB)
$(BIN)/gazelle-run: private LIBS := -lseccomp -lyaml -lZydis -lpthread

WORKERS_MAX := $(shell sed -n 's/.define GZ_WORKERS_MAX \([0-9]*\).*/\1/p' engine/codes.h)
CODES := $(foreach n,$(shell seq 0 $$(($(WORKERS_MAX) - 1))),$(OBJ)/codes/$(n).o)

# The engine dispatches on the launcher's table of calls.
$(BIN)/gazelle-engine: $(call objects,$(sort $(PROCESS_SRC)) launcher/calls.c) $(OBJ)/engine/codes.o \
	$(CODES) $(CONFIG_LIB)
$(BIN)/gazelle-engine: private LIBS = -Wl,--gc-sections $(DPDK_LIBS) -lnl-route-3 -lnl-3 -lyaml

# All of a worker's code as one object, in which nothing but gz_code can be seen; one copy
# of it for each worker that there may be.
$(OBJ)/codes/all.o: $(call objects,$(sort $(WORKER_SRC) $(BOTH_SRC))) $(LWIP_OBJ) $(BUILD)/.sources
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(LD) -r -o $@ $(filter %.o,$^)

$(OBJ)/codes/%.o: $(OBJ)/codes/all.o
	$(Q)objcopy --redefine-sym gz_code=gz_code_$* --keep-global-symbol=gz_code_$* $< $@

$(OBJ)/engine/codes.o: engine/codes.S $(BUILD)/.flags
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(STD) $(DEPS) -c -o $@ $<

# What a copy does not use of both sides' files is left out.
$(OBJ)/engine/%.o $(OBJ)/lwip/%.o: private SECTIONS := -ffunction-sections -fdata-sections

$(BIN)/gazelle-dispatch: $(call objects,$(DISPATCH_SRC)) $(CONFIG_LIB)
$(BIN)/gazelle-dispatch: private LIBS = $(DPDK_LIBS) -lnl-route-3 -lnl-3 -lyaml

$(BIN)/gazelle-ctl: $(call objects,$(CTL_SRC)) $(CONFIG_LIB)
$(BIN)/gazelle-ctl: private LIBS := -ljansson -lyaml

$(BIN)/%: $(BUILD)/.flags $(BUILD)/.sources
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(SAN) -o $@ $(filter %.o %.a,$^) $(LINK) $(LIBS)

$(BUILD)/%.a: $(BUILD)/.flags $(BUILD)/.sources
	$(call say,AR,$@)
	$(Q)mkdir -p $(@D)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $(filter %.o,$^)

$(OBJ)/engine/%.o: engine/%.c $(BUILD)/.flags | $(LWIP_FETCHED)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(COMPILE) $(SECTIONS) $(WARN) $(DPDK_CFLAGS) $(LWIP_CPPFLAGS)

$(OBJ)/dispatch/%.o: dispatch/%.c $(BUILD)/.flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(COMPILE) $(WARN) $(DPDK_CFLAGS)

$(OBJ)/%.o: %.c $(BUILD)/.flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(COMPILE) $(WARN)

# .flags changes when a flag does, and everything is remade; .sources when a
# file comes or goes, and what is linked is.
FLAGS_STATE = $(CC) $(BASE) $(WARN) $(LINK) $(DPDK_CFLAGS) $(DPDK_LIBS) $(LWIP_CPPFLAGS)
SOURCES_STATE = $(CONFIG_SRC) $(RUN_SRC) $(ENGINE_SRC) $(DISPATCH_SRC) $(CTL_SRC) $(notdir $(LWIP_LIB))
$(BUILD)/.flags: private STATE = $(FLAGS_STATE)
$(BUILD)/.sources: private STATE = $(SOURCES_STATE)
$(BUILD)/.flags $(BUILD)/.sources: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(STATE)' | cmp -s - $@ || printf '%s\n' '$(STATE)' >$@
.PHONY: FORCE
FORCE:

# --- tests ------------------------------------------------------------------

# Programs that run *on* the stack stay free of sanitizers: they stand for
# unmodified applications.  Unit tests, which contain our code, do not.
T := $(BUILD)/test
UNIT := $(patsubst %.c,$(BUILD)/%,$(wildcard test/unit/*.c))
MUSL_TOO := cancel fork jumps signals threads # of test/semantics
CLIENTS := $(patsubst %.c,$(BUILD)/%,$(wildcard test/semantics/*.c test/apps/*.c test/net/*.c \
	test/fuzz/*.c))
CLIENTS += $(patsubst %.cc,$(BUILD)/%,$(wildcard test/semantics/*.cc)) $(MUSL_TOO:%=$(T)/semantics/%_musl)
STATIC := $(foreach libc,musl glibc,$(patsubst %.c,$(BUILD)/%-$(libc),$(wildcard test/static/*.c))) \
	$(patsubst %.go,$(BUILD)/%-go,$(wildcard test/static/*.go))

.PHONY: tests test demo deps
tests: $(UNIT) $(CLIENTS) $(STATIC) $(T)/bench/sockets | stale

# What has no source any more: test/run runs all programs that are there.
STALE = $(filter-out $(UNIT) $(CLIENTS) $(STATIC) %.d %.o, \
	$(wildcard $(T)/unit/* $(T)/semantics/* $(T)/net/* $(T)/fuzz/* $(T)/apps/* $(T)/static/*))
.PHONY: stale
stale:
	$(Q)$(if $(STALE),rm -f $(STALE))

$(T)/unit/ports_test: $(OBJ)/engine/ports.o $(OBJ)/engine/spread.o $(OBJ)/engine/rss.o
$(T)/unit/ports_test: private LIBS := -Wl,--gc-sections
$(T)/unit/ports_test: private UNIT_CFLAGS = $(DPDK_CFLAGS)
$(T)/unit/rss_test: $(OBJ)/engine/rss.o
$(T)/unit/rss_test: private LIBS := -Wl,--gc-sections
$(T)/unit/rss_test: private UNIT_CFLAGS = $(DPDK_CFLAGS)
$(T)/unit/ring_test: $(OBJ)/engine/ring.o
$(T)/unit/pace_test: $(addprefix $(OBJ)/engine/,pace.o bbr.o rate.o)
$(T)/unit/pace_test: private UNIT_CFLAGS = $(DPDK_CFLAGS) $(LWIP_CPPFLAGS)
$(T)/unit/filter_test: $(OBJ)/launcher/filter.o $(OBJ)/launcher/calls.o
$(T)/unit/filter_test: private LIBS := -lseccomp
$(T)/unit/tracee_test: $(addprefix $(OBJ)/launcher/,tracee.o maps.o proc.o interrupted.o)
$(T)/unit/patch_test: $(OBJ)/launcher/patch.o
$(T)/unit/patch_test: private LIBS := -lZydis
$(T)/unit/agent_test $(T)/unit/go_site_test: \
	$(addprefix $(OBJ)/launcher/,tracee.o maps.o proc.o interrupted.o frames.o \
	retire.o inject.o patch.o calls.o agent/blob.o)
$(T)/unit/agent_test $(T)/unit/go_site_test: private LIBS := -lZydis
SWITCH_TESTS := $(patsubst %,$(T)/unit/%_test,switch switch6 switch_kernel switch_shared switch_groups switch_property groups)
$(SWITCH_TESTS): $(addprefix $(OBJ)/dispatch/,switch.o switch6.o table.o seen.o snoop.o groups.o frames.o)
$(SWITCH_TESTS): private UNIT_CFLAGS = $(DPDK_CFLAGS)
$(SWITCH_TESTS): private LIBS = $(DPDK_NO_DRIVERS)
$(T)/unit/connections_test: $(OBJ)/dispatch/connections.o
$(T)/unit/backlog_test: $(OBJ)/dispatch/backlog.o
$(T)/unit/connections_test $(T)/unit/backlog_test: private UNIT_CFLAGS = $(DPDK_CFLAGS)
$(T)/unit/connections_test $(T)/unit/backlog_test: private LIBS = $(DPDK_NO_DRIVERS)
$(T)/unit/latency_test: $(OBJ)/dispatch/latency.o
$(T)/unit/bond_test: $(OBJ)/dispatch/bond.o $(OBJ)/dispatch/frames.o
$(T)/unit/bond_test: private UNIT_CFLAGS = $(DPDK_CFLAGS)
$(T)/unit/%: test/unit/%.c $(CONFIG_LIB) $(BUILD)/.flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(DEPS) $(WARN) -Itest $(UNIT_CFLAGS) -o $@ $< $(filter %.o %.a,$^) \
		$(LINK) -lcmocka -lyaml $(LIBS) -lpthread

CLIENT = $(STD) -O2 -g $(WARN) -Itest $(DEPS) -o $@ $<

$(T)/semantics/%: test/semantics/%.c $(BUILD)/.flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CLIENT) -lpthread

$(T)/semantics/%: test/semantics/%.cc $(BUILD)/.flags
	$(call say,CXX,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) -std=gnu++17 -D_GNU_SOURCE -O2 -g -Wall -Wextra $(WERROR) $(DEPS) -o $@ $< -lpthread

$(T)/semantics/%_musl: test/semantics/%.c $(BUILD)/.flags
	$(call say,MUSL,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(MUSL_GCC) -static $(CLIENT) -lpthread

$(T)/net/%: test/net/%.c $(BUILD)/.flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CLIENT)

$(T)/fuzz/%: test/fuzz/%.c $(BUILD)/.flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CLIENT) -lpthread

$(T)/apps/%: test/apps/%.c $(BUILD)/.flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CLIENT) -lpthread

$(T)/static/%-musl: test/static/%.c $(BUILD)/.flags
	$(call say,MUSL,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(MUSL_GCC) -static $(CLIENT) -lpthread

$(T)/static/%-glibc: test/static/%.c $(BUILD)/.flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -static $(CLIENT) -lpthread

# GOENV, GOPROXY, GOTOOLCHAIN: what the machine has, nothing from the network.
$(T)/static/%-go: test/static/%.go
	$(call say,GO,$<)
	$(Q)mkdir -p $(@D)
	$(Q)CGO_ENABLED=0 GO111MODULE=off GOFLAGS= GOENV=off GOPROXY=off GOTOOLCHAIN=local \
		GOCACHE=$(abspath $(BUILD))/go/cache GOPATH=$(abspath $(BUILD))/go \
		$(GO) build -o $@ $<

# The rest is a second make: deps may have brought what the first looked for.
# It builds on all processors, unless -j was given.
AT_ONCE = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))
deps:
	$(Q).ci/deps.sh
	$(Q).ci/lwip.sh $(LWIP) $(CACHE)/dl

test: deps
	$(Q)$(MAKE) $(AT_ONCE) --no-print-directory all tests
	$(Q)BUILD=$(BUILD) test/run

# What is measured is what is installed: no sanitizer.
.PHONY: bench
bench: all $(T)/bench/sockets $(T)/bench/flows $(T)/net/forwarder $(T)/net/many
	$(Q)BUILD=$(BUILD) test/bench/run.py $(OUT)

# Workers without their relay's other end, as engine/codes.S has those of an engine.
$(T)/bench/flows_all.o: $(T)/bench/flows_worker.o $(call objects,$(sort $(WORKER_SRC) $(BOTH_SRC))) $(LWIP_OBJ)
	$(Q)$(LD) -r --wrap=gz_relay_offer -o $@ $^

$(T)/bench/flows_worker.o: test/bench/flows_worker.c $(BUILD)/.flags $(LWIP_LIB)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(COMPILE) $(WARN) $(DPDK_CFLAGS) $(LWIP_CPPFLAGS)

$(T)/bench/flows_worker_%.o: $(T)/bench/flows_all.o
	$(Q)objcopy --redefine-sym flows_worker=flows_worker_$* --keep-global-symbol=flows_worker_$* $< $@

$(T)/bench/flows: test/bench/flows.c $(T)/bench/flows_worker_0.o $(T)/bench/flows_worker_1.o $(CONFIG_LIB) \
		$(call objects,$(filter-out engine/main.c,$(sort $(PROCESS_SRC))) launcher/calls.c)
	$(call say,CC,$<)
	$(Q)$(CC) $(BASE) $(DEPS) $(WARN) $(DPDK_CFLAGS) $(LWIP_CPPFLAGS) -o $@ \
		$(filter %.c %.o,$^) $(filter %.a,$^) $(LINK) -Wl,--gc-sections $(DPDK_LIBS) -lnl-route-3 -lnl-3 -lyaml

$(T)/bench/%: test/bench/%.c $(BUILD)/.flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CLIENT) -lpthread

demo: deps
	$(Q)$(MAKE) $(AT_ONCE) --no-print-directory all
	$(Q)BUILD=$(BUILD) test/demo.sh

# --- installation -----------------------------------------------------------

BINDIR := $(DESTDIR)$(PREFIX)/bin
ETCDIR := $(DESTDIR)$(SYSCONFDIR)/gazelle
DOCDIR := $(DESTDIR)$(PREFIX)/share/doc/gazelle
YAML := $(wildcard config/*.yaml)
DOCS := $(wildcard README.md LICENSE docs/*.md)
EXAMPLES := $(wildcard config/examples/*.yaml)

.PHONY: install uninstall
install: all
	install -d $(BINDIR) $(ETCDIR) $(DOCDIR)/examples
	$(if $(PROGRAMS),install -m 755 $(PROGRAMS) $(BINDIR))
	$(if $(DOCS),install -m 644 $(DOCS) $(DOCDIR))
	$(if $(EXAMPLES),install -m 644 $(EXAMPLES) $(DOCDIR)/examples)
	@# A configuration that was edited is kept, ours goes beside it.
	@for f in $(YAML); do \
		to=$(ETCDIR)/$${f##*/}; \
		if [ -e $$to ] && ! cmp -s $$f $$to; then \
			echo "$$to was changed: kept, the new one is $$to.new"; \
			to=$$to.new; \
		fi; \
		install -m 644 $$f $$to || exit 1; \
	done

uninstall:
	rm -f $(foreach p,run engine dispatch ctl,$(BINDIR)/gazelle-$(p))
	rm -f $(addprefix $(DOCDIR)/,$(notdir $(DOCS)) $(addprefix examples/,$(notdir $(EXAMPLES))))
	@for f in $(YAML); do \
		to=$(ETCDIR)/$${f##*/}; \
		rm -f $$to.new; \
		[ ! -e $$to ] || { cmp -s $$f $$to && rm -f $$to; } || echo "$$to was changed: kept"; \
	done
	@rmdir $(ETCDIR) $(DOCDIR)/examples $(DOCDIR) 2>/dev/null || :

# --- checks -----------------------------------------------------------------

FOLDERS := config launcher launcher/agent engine engine/lwip dispatch ctl test \
	test/unit test/semantics test/apps test/net test/fuzz test/bench test/static
ALL_C := $(wildcard $(FOLDERS:%=%/*.c))
ALL_H := $(wildcard $(FOLDERS:%=%/*.h))
need = @command -v $(1) >/dev/null || { echo "$(1) not found: install the package $(2)" >&2; exit 1; }

.PHONY: check-format tidy cppcheck
check-format:
	$(call need,$(CLANG_FORMAT),clang-format)
	$(Q)$(CLANG_FORMAT) --dry-run --Werror $(ALL_C) $(ALL_H)

tidy: | $(LWIP_FETCHED)
	$(call need,$(CLANG_TIDY),clang-tidy)
	$(Q)$(CLANG_TIDY) --quiet $(ALL_C) -- $(STD) -Itest $(DPDK_CFLAGS) $(LWIP_CPPFLAGS)

cppcheck:
	$(call need,$(CPPCHECK),cppcheck)
	$(Q)$(CPPCHECK) --quiet --std=c11 --language=c --enable=warning,performance,portability \
		--inline-suppr --suppress=missingIncludeSystem \
		--suppress=arithOperationsOnVoidPointer --error-exitcode=1 \
		--library=.ci/cppcheck.cfg \
		-I. -Itest -D_GNU_SOURCE $(ALL_C)

# --- cleaning ---------------------------------------------------------------

.PHONY: clean distclean
clean:
	rm -rf build-san
	@[ ! -d $(BUILD) ] || find $(BUILD) -mindepth 1 -maxdepth 1 ! -name dl ! -name lwip \
		-exec chmod -R u+w {} + -exec rm -rf {} +

distclean: clean
	rm -rf $(BUILD) $(CACHE)

-include $(shell find $(OBJ) $(T) -name '*.d' 2>/dev/null)
