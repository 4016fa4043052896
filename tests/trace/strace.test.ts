/** System calls as strace shows them, from registers and memory. */
import { describe, expect, it } from "vitest";
import { Stat } from "../../emulator/abi/io.ts";
import { Syscall } from "../../emulator/abi/syscalls.ts";
import { TracedCall } from "../../emulator/trace/strace.ts";

/** Memory of the program: from 0x1000 to 0x2000. */
const memory = new Uint8Array(0x1000);
const read = (address: bigint, bytes: number): Uint8Array => {
  const at = Number(address) - 0x1000;
  return at < 0 || at >= memory.length ? new Uint8Array(0) : memory.subarray(at, at + bytes);
};
function put(at: number, bytes: Uint8Array | string): bigint {
  memory.set(typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes, at);
  return BigInt(0x1000 + at);
}
const line = (number: number, registers: readonly bigint[], result: bigint): string =>
  new TracedCall(BigInt(number), registers, read).line(result, read);

describe("a system call", () => {
  it("shows paths, flags by name, and a failure with its text", () => {
    const path = put(0, "/etc/hosts\0");
    expect(line(Syscall.OPENAT, [0xffff_ff9cn, path, 0x8_0000n, 0n], 3n)).toBe(
      'openat(AT_FDCWD, "/etc/hosts", RDONLY|CLOEXEC, 0) = 3',
    );
    expect(line(Syscall.OPEN, [path, 0x41n, 0o644n], -13n)).toBe(
      'open("/etc/hosts", WRONLY|CREAT, 0644) = -1 EACCES (permission denied)',
    );
  });
  it("shows what is written before the call, and what was read after it", () => {
    const buffer = put(64, 'a\n\0\x011"');
    expect(line(Syscall.WRITE, [1n, buffer, 6n], 6n)).toBe('write(1, "a\\n\\0\\0011\\"", 6) = 6');
    const call = new TracedCall(BigInt(Syscall.READ), [0n, buffer, 100n], read);
    put(64, "later");
    expect(call.line(5n, read)).toBe('read(0, "later", 100) = 5');
    expect(call.line(-4n, read)).toBe("read(0, 0x1040, 100) = -1 EINTR (interrupted system call)");
    expect(call.line(undefined, read)).toBe("read(0, 0x1040, 100) = ?");
  });
  it("shortens long strings and shows an unreadable address as such", () => {
    const long = put(128, "x".repeat(40));
    expect(line(Syscall.WRITE, [1n, long, 40n], 40n)).toBe(`write(1, "${"x".repeat(32)}"..., 40) = 40`);
    expect(line(Syscall.WRITE, [1n, 0x9000n, 4n], -14n)).toBe(
      "write(1, 0x9000, 4) = -1 EFAULT (bad address in system call argument)",
    );
    expect(line(Syscall.OPEN, [0n, 0n, 0n], -14n)).toMatch(/^open\(NULL, RDONLY, 0\) = -1 EFAULT/);
  });
  it("shows structures", () => {
    const bytes = new Uint8Array(Stat.SIZE);
    const stat = new Stat(new DataView(bytes.buffer));
    stat.mode = 0o100644;
    stat.size = 12n;
    const at = put(256, bytes);
    expect(line(Syscall.FSTAT, [3n, at], 0n)).toBe("fstat(3, {st_mode=S_IFREG|0644, st_size=12, ...}) = 0");
    const time = put(512, new Uint8Array(new BigInt64Array([1n, 500n]).buffer));
    expect(line(Syscall.NANOSLEEP, [time, 0n], 0n)).toBe("nanosleep({tv_sec=1, tv_nsec=500}, NULL) = 0");
  });
  it("shows addresses as results, ints without the upper half of their register, unknown calls by number", () => {
    expect(line(Syscall.MMAP, [0n, 4096n, 3n, 0x22n, 0xffff_ffffn, 0n], 0x2000_0000_0000n)).toBe(
      "mmap(NULL, 4096, READ|WRITE, PRIVATE|ANONYMOUS, -1, 0) = 0x200000000000",
    );
    expect(line(450 + 50, [1n, 2n, 3n, 4n, 5n, 6n], -38n)).toBe(
      "syscall_500(0x1, 0x2, 0x3, 0x4, 0x5, 0x6) = -1 ENOSYS (function not implemented)",
    );
  });
});
