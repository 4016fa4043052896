/**
 * Sharing hides mistakes: a wrong value in kernel/abi would be wrong on both sides, and every test would pass. So
 * critical values are retyped here from the manuals, never imported.
 */
import fs from "node:fs";
import { describe, expect, it } from "vitest";
import * as errno from "../../emulator/abi/errno.ts";
import * as ioapic from "../../emulator/abi/ioapic.ts";
import * as io from "../../emulator/abi/io.ts";
import * as job from "../../emulator/abi/job.ts";
import * as lapic from "../../emulator/abi/lapic.ts";
import * as memory from "../../emulator/abi/memory.ts";
import * as net from "../../emulator/abi/net.ts";
import * as platform from "../../emulator/abi/platform.ts";
import * as portals from "../../emulator/abi/portals.ts";
import * as syscalls from "../../emulator/abi/syscalls.ts";
import { syscallInfos } from "../../emulator/abi/syscalltable.ts";
import * as events from "../../emulator/abi/events.ts";
import * as uart from "../../emulator/abi/uart.ts";
import * as virtio from "../../emulator/abi/virtio.ts";
import * as x86 from "../../emulator/abi/x86.ts";

describe("against the manuals", () => {
  it("Intel SDM vol. 3A table 11-1: LAPIC registers", () => {
    expect(lapic.Lapic).toMatchObject({
      ID: 0x20,
      VERSION: 0x30,
      TPR: 0x80,
      PPR: 0xa0,
      EOI: 0xb0,
      LDR: 0xd0,
      DFR: 0xe0,
      SVR: 0xf0,
      ISR: 0x100,
    });
    expect(lapic.Lapic).toMatchObject({
      TMR: 0x180,
      IRR: 0x200,
      ESR: 0x280,
      ICR_LOW: 0x300,
      ICR_HIGH: 0x310,
      LVT_TIMER: 0x320,
      LVT_LINT0: 0x350,
    });
    expect(lapic.Lapic).toMatchObject({
      LVT_LINT1: 0x360,
      LVT_ERROR: 0x370,
      TIMER_INITIAL: 0x380,
      TIMER_CURRENT: 0x390,
      TIMER_DIVIDE: 0x3e0,
    });
    expect(lapic.Icr).toMatchObject({
      NMI: 4 << 8,
      INIT: 5 << 8,
      STARTUP: 6 << 8,
      ASSERT: 1 << 14,
      LEVEL: 1 << 15,
      SELF: 1 << 18,
      ALL: 2 << 18,
      ALL_BUT_SELF: 3 << 18,
    });
    expect(lapic.Lvt).toMatchObject({ MASKED: 1 << 16, PERIODIC: 1 << 17 });
    expect(lapic.TIMER_DIVIDE_BY_1).toBe(0b1011);
  });
  it("82093AA: IOAPIC", () => {
    expect(ioapic.IoapicRegister).toMatchObject({ ID: 0, VERSION: 1, REDIRECTION: 0x10 });
    expect(ioapic.Redirection).toMatchObject({ REMOTE_IRR: 1 << 14, LEVEL: 1 << 15, MASKED: 1 << 16 });
  });
  it("SDM vol. 3A 2.5, 4.5, 6.15 and vol. 4: control registers, paging, exceptions, MSRs", () => {
    expect(x86.Cr0).toMatchObject({ PE: 1, TS: 8, WP: 1 << 16, PG: 2 ** 31 });
    expect(x86.Cr4).toMatchObject({
      PAE: 1 << 5,
      PGE: 1 << 7,
      OSFXSR: 1 << 9,
      OSXMMEXCPT: 1 << 10,
      FSGSBASE: 1 << 16,
      UMIP: 1 << 11,
      SMEP: 1 << 20,
      SMAP: 1 << 21,
    });
    expect(x86.Efer).toEqual({ SCE: 1, LME: 1 << 8, LMA: 1 << 10, NXE: 1 << 11 });
    expect(x86.Msr).toMatchObject({
      APIC_BASE: 0x1b,
      EFER: 0xc0000080,
      STAR: 0xc0000081,
      LSTAR: 0xc0000082,
      FMASK: 0xc0000084,
      FS_BASE: 0xc0000100,
      GS_BASE: 0xc0000101,
      KERNEL_GS_BASE: 0xc0000102,
    });
    expect(x86.Exception).toMatchObject({
      DE: 0,
      NMI: 2,
      BP: 3,
      UD: 6,
      NM: 7,
      DF: 8,
      TS: 10,
      NP: 11,
      SS: 12,
      GP: 13,
      PF: 14,
      MF: 16,
      AC: 17,
      MC: 18,
      XM: 19,
    });
    expect(x86.PageFault).toEqual({ P: 1, W: 2, U: 4, RSVD: 8, I: 16 });
    expect(x86.PTE_NX).toBe(1n << 63n);
  });
  it("PC16550D table II: UART", () => {
    expect(uart.UART_PORT).toBe(0x3f8);
    expect(uart.UartLsr).toMatchObject({ DATA_READY: 1, TRANSMIT_HOLDING_EMPTY: 0x20, TRANSMIT_EMPTY: 0x40 });
    expect(uart.Uart).toMatchObject({ DATA: 0, IER: 1, FCR: 2, LCR: 3, MCR: 4, LSR: 5, MSR: 6 });
  });
  it("virtio 1.1, 4.2.2 and 2.6: registers and rings", () => {
    expect(virtio.VIRTIO_MAGIC).toBe(new DataView(new TextEncoder().encode("virt").buffer).getUint32(0, true));
    expect(virtio.VirtioMmio).toMatchObject({
      QUEUE_SEL: 0x30,
      QUEUE_NUM_MAX: 0x34,
      QUEUE_NUM: 0x38,
      QUEUE_READY: 0x44,
      QUEUE_NOTIFY: 0x50,
      INTERRUPT_STATUS: 0x60,
      INTERRUPT_ACK: 0x64,
      STATUS: 0x70,
      QUEUE_DESC_LOW: 0x80,
      QUEUE_DRIVER_LOW: 0x90,
      QUEUE_DEVICE_LOW: 0xa0,
      CONFIG: 0x100,
    });
    expect(virtio.VirtqDescriptor.SIZE).toBe(16);
    expect(virtio.VirtqUsedElement.SIZE).toBe(8);
    expect(virtio.VirtqUsed.OFFSETS.ring).toBe(4);
    expect(virtio.VirtioNetHeader.SIZE).toBe(12);
  });
  it("Xen hvm/start_info.h: PVH", () => {
    expect(platform.PVH_MAGIC).toBe(0x336ec578);
    expect(platform.PvhStartInfo.SIZE).toBe(56);
    expect(platform.PvhStartInfo.OFFSETS).toMatchObject({
      modulesAddress: 16,
      commandLineAddress: 24,
      rsdpAddress: 32,
      memoryMapAddress: 40,
      memoryMapEntries: 48,
    });
    expect(platform.PvhModule.SIZE).toBe(32);
    expect(platform.PvhMemory.SIZE).toBe(24);
    expect(platform.XEN_ELFNOTE_PHYS32_ENTRY).toBe(18);
  });
  it("Linux x86-64: system calls, errno, struct stat", () => {
    expect(syscalls.Syscall).toMatchObject({
      READ: 0,
      WRITE: 1,
      OPEN: 2,
      CLOSE: 3,
      FSTAT: 5,
      LSEEK: 8,
      MMAP: 9,
      MUNMAP: 11,
      BRK: 12,
      SCHED_YIELD: 24,
      NANOSLEEP: 35,
      GETPID: 39,
      EXIT: 60,
      UNAME: 63,
      ARCH_PRCTL: 158,
      GETTID: 186,
      FUTEX: 202,
      CLOCK_GETTIME: 228,
      EXIT_GROUP: 231,
      OPENAT: 257,
      GETCPU: 309,
    });
    expect(errno.Errno).toMatchObject({
      ENOENT: 2,
      EBADF: 9,
      EAGAIN: 11,
      ENOMEM: 12,
      EACCES: 13,
      EFAULT: 14,
      EEXIST: 17,
      ENOTDIR: 20,
      EISDIR: 21,
      EINVAL: 22,
      EMFILE: 24,
      ESPIPE: 29,
      EROFS: 30,
      ENAMETOOLONG: 36,
      ENOSYS: 38,
      ELOOP: 40,
      ETIMEDOUT: 110,
    });
    expect(io.Stat.SIZE).toBe(144);
    expect(io.Stat.OFFSETS).toMatchObject({
      ino: 8,
      nlink: 16,
      mode: 24,
      rdev: 40,
      size: 48,
      blockBytes: 56,
      blocks: 64,
      atimeSeconds: 72,
      mtimeSeconds: 88,
      ctimeSeconds: 104,
    });
    expect(io.Open).toMatchObject({
      CREAT: 0o100,
      EXCL: 0o200,
      TRUNC: 0o1000,
      APPEND: 0o2000,
      DIRECTORY: 0o200000,
      NOFOLLOW: 0o400000,
      CLOEXEC: 0o2000000,
    });
  });
});

describe("against the design", () => {
  it("message header, init header and event are of the sizes that the protocol fixes", () => {
    expect(net.MessageHeader.SIZE).toBe(96);
    expect(net.EthernetHeader.SIZE).toBe(16);
    expect(net.ETHERTYPE_MARGAY).toBe(0x88b5);
    expect(job.InitHeader.SIZE).toBe(64);
    expect(events.TraceRecord.SIZE).toBe(48);
    expect(portals.PortalEvent.SIZE).toBe(64);
  });
  it("memory map", () => {
    expect(memory.KERNEL_BASE).toBe(2n ** 64n - 2n ** 31n);
    expect(memory.INIT_BASE).toBe(0x7000_0000_0000);
    expect(memory.LAPIC_BASE).toBe(0xfee00000);
    expect(memory.IOAPIC_BASE).toBe(0xfec00000);
    expect(memory.VIRTIO_MMIO_BASE).toBe(0xfeb00000);
  });
  it("the table of system calls: a row's name is its number's, in their order; a refusal says why", () => {
    const numbers = syscallInfos.map((info): number => info.number);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    expect(new Set(numbers).size).toBe(numbers.length);
    for (const info of syscallInfos) {
      expect(syscalls.SyscallNames.get(info.number)?.toLowerCase()).toBe(info.name);
      const kinds = info.kinds.filter((kind) => (kind as number) !== syscalls.ArgKind.NONE);
      const refused = (info.route as number) === syscalls.Route.REFUSED;
      expect(
        (info.names ?? "").split(" ").filter((name) => name !== ""),
        info.name,
      ).toHaveLength(kinds.length);
      expect([info.why !== null, (info.errno as number) !== 0], info.name).toEqual([refused, refused]);
    }
  });
  const linux = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";
  if (!fs.existsSync(linux)) console.log(`tests/abi: numbers of system calls not compared: no ${linux}`);
  it.skipIf(!fs.existsSync(linux))("Linux's numbers of system calls", () => {
    const numbers = new Map<string, number>();
    for (const [, name, number] of fs.readFileSync(linux, "utf8").matchAll(/^#define __NR_(\w+) (\d+)$/gm))
      numbers.set(name!.toUpperCase(), Number(number));
    expect(numbers.size).toBeGreaterThan(300);
    for (const [name, number] of Object.entries(syscalls.Syscall))
      if (numbers.has(name)) expect(number, name).toBe(numbers.get(name));
      else expect(number, `${name} is newer than the header, or ours`).toBeGreaterThan(440);
  });
  it("no kind of event, no system call and no operation has two numbers", () => {
    for (const table of [events.EventKind, syscalls.Syscall, net.Operation, net.Cause]) {
      const values = Object.values(table);
      expect(new Set(values).size).toBe(values.length);
    }
    const kinds = events.eventTable.map((e) => e.kind);
    expect([...kinds].sort((a, b) => a - b)).toEqual(Object.values(events.EventKind).filter((k) => k !== 0));
  });
});
