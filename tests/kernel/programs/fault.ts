/** Faults in the way that its first argument names. */
import "../../../userland/lib/start.ts";
import { syscall0 } from "../../../userland/lib/syscall.ts";
import { print, stdout } from "../../../userland/lib/stdio.ts";
import { stringsEqual } from "../../../toolchain/lib/rt/strings.ts";

const data: arr<u64, 4> = zeroed();
export function main(argc: i32, argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  if (argc < 2) return 9;
  const way: ptr<u8> = argv[1];
  if (stringsEqual(way, cstr("null"))) volatileWrite(cast<ptr<u64>>(0), 1);
  if (stringsEqual(way, cstr("kernel"))) return i32(volatileRead(cast<ptr<u64>>(0xffff_ffff_8010_0000)));
  if (stringsEqual(way, cstr("code"))) volatileWrite(cast<ptr<u64>>(cast<u64>(main)), 1);
  if (stringsEqual(way, cstr("execute"))) asm`jmp ${cast<u64>(addr(data))}`;
  if (stringsEqual(way, cstr("divide"))) return 1 / (argc - 2);
  if (stringsEqual(way, cstr("invalid"))) asm`ud2`;
  if (stringsEqual(way, cstr("privileged"))) asm`cli`;
  if (stringsEqual(way, cstr("gate"))) asm`int 0x3c`;
  if (stringsEqual(way, cstr("breakpoint"))) asm`int3`;
  if (stringsEqual(way, cstr("exit"))) return 7;
  if (stringsEqual(way, cstr("enosys"))) {
    if (syscall0(400) !== -38 || syscall0(4127) !== -38 || syscall0(~u64(0)) !== -38) return 1;
    print(stdout(), cstr("no such call\n"));
    return 0;
  }
  if (stringsEqual(way, cstr("spin"))) for (;;) asm`pause`;
  // Addresses of tables and the processor's state are not visible to programs (UMIP).
  const at: u64 = cast<u64>(addr(data));
  if (stringsEqual(way, cstr("sgdt"))) asm({ clobber: ["memory"] })`sgdt [${at}]`;
  if (stringsEqual(way, cstr("sidt"))) asm({ clobber: ["memory"] })`sidt [${at}]`;
  if (stringsEqual(way, cstr("sldt"))) asm({ clobber: ["rax"] })`sldt ax`;
  if (stringsEqual(way, cstr("str"))) asm({ clobber: ["rax"] })`str ax`;
  if (stringsEqual(way, cstr("smsw"))) asm({ clobber: ["rax"] })`smsw ax`;
  // Computes with RFLAGS.AC set; a kernel that does not clear it could access user pages in spite of SMAP.
  if (stringsEqual(way, cstr("align"))) {
    asm({ clobber: ["memory"] })`
      pushfq
      or dword ptr [rsp], 0x40000
      popfq
    `;
    for (;;) asm`pause`;
  }
  return 9;
}
