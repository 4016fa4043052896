/**
 * Trace events: the one table that flight recorder, tracer, checkers and documents share. The kernel writes
 * TraceRecords into a ring per CPU; the emulator drains the rings and adds the events that it observes itself.
 */
export class TraceRecord {
  /** TSC when the record was written; the tracer orders records by it. */
  time: u64 = 0;
  kind: u16 = 0;
  cpu: u16 = 0;
  reserved: u32 = 0;
  words!: arr<u64, 4>;
}
export const TRACE_RING_RECORDS: u32 = 256;
/**
 * `written` only increases; record n lies at n & (TRACE_RING_RECORDS - 1). The array of all CPUs' rings has the link
 * name `trace_rings`.
 */
export class TraceRing {
  written: u64 = 0;
  reserved!: arr<u64, 7>;
  records!: arr<TraceRecord, 256>;
}
/** The event kinds. Filters (`--show LIST`) use their groups: the part of the name before the dot. */
// biome-ignore format: a table
export const enum EventKind {
  NONE = 0,
  // ---- written by the kernel
  SYS_ENTER = 1, SYS_EXIT = 2,
  IRQ_ENTER = 3, IRQ_EXIT = 4, TRAP = 5,
  IPI_SEND = 6, IPI_ACKED = 7, TLB_FLUSH = 8, FRAME_FREE = 9,
  MSG_SEND = 10, MSG_RECEIVE = 11, MSG_DROP = 12, MSG_RESEND = 13,
  JOB_LOAD = 14, JOB_REFUSE = 15, JOB_RUN_USER = 16, JOB_START = 17, JOB_EXIT = 18, JOB_KILL = 19, JOB_NOTICE = 20, JOB_CHILD = 21,
  TASK_END = 22, CPU_IDLE = 23, MARK = 24,
  // ---- observed by the machine
  CORE_INIT = 32, CORE_STARTUP = 33, IRQ_DELIVER = 34, IRQ_EOI = 35, IPI_ICR = 36, NMI_DELIVER = 37, CONSOLE = 38, DEVICE_ERROR = 39,
  LINK_SEND = 40, LINK_RECEIVE = 41, LINK_FAULT = 42, NODE_BOOT = 43, NODE_READY = 44, NODE_EXIT = 45,
  SERVICE_LOAD = 46, SERVICE_REPLY = 47, SERVICE_STATUS = 48, SERVICE_GO = 49, SERVICE_EXIT = 50, SERVICE_KILL = 51, IO_CALL = 52, SERVICE_SIGNAL = 53,
  /** One for each retired instruction, and only if instructions are requested by name. */
  INSN = 64,
}
/**
 * How a word is printed. TEXT: a string, only in events of the machine. CODE: a string with an instruction's bytes in
 * hexadecimal.
 */
// biome-ignore format: a table
export const enum FieldFormat { NONE = 0, DECIMAL = 1, HEX = 2, ADDRESS = 3, VECTOR = 4, SYSCALL = 5, RESULT = 6, OPERATION = 7, CAUSE = 8, NID = 9, CORE = 10, WAIT_STATUS = 11, TEXT = 12, SYSARG = 13, INIT_MATCH = 14, BYTES = 15, CODE = 16 }
export class EventInfo {
  kind: u16 = 0;
  name: ptr<u8> | null = null;
  fields!: arr<ptr<u8> | null, 4>;
  formats!: arr<u8, 4>;
}
// biome-ignore format: a table
export const eventTable: arr<EventInfo, 47> = [
  { kind: EventKind.SYS_ENTER,    name: cstr("sys.enter"),    fields: [cstr("call"), cstr("a"), cstr("b"), cstr("c")],               formats: [FieldFormat.SYSCALL, FieldFormat.SYSARG, FieldFormat.SYSARG, FieldFormat.SYSARG] },
  { kind: EventKind.SYS_EXIT,     name: cstr("sys.exit"),     fields: [cstr("call"), cstr("ret"), null, null],                       formats: [FieldFormat.SYSCALL, FieldFormat.RESULT, 0, 0] },
  { kind: EventKind.IRQ_ENTER,    name: cstr("irq.enter"),    fields: [cstr("vector"), null, null, null],                            formats: [FieldFormat.VECTOR, 0, 0, 0] },
  { kind: EventKind.IRQ_EXIT,     name: cstr("irq.exit"),     fields: [cstr("vector"), null, null, null],                            formats: [FieldFormat.VECTOR, 0, 0, 0] },
  { kind: EventKind.TRAP,         name: cstr("trap"),         fields: [cstr("vector"), cstr("error"), cstr("rip"), cstr("address")], formats: [FieldFormat.VECTOR, FieldFormat.HEX, FieldFormat.ADDRESS, FieldFormat.ADDRESS] },
  { kind: EventKind.IPI_SEND,     name: cstr("ipi.send"),     fields: [cstr("to"), cstr("vector"), cstr("id"), null],                formats: [FieldFormat.CORE, FieldFormat.VECTOR, FieldFormat.DECIMAL, 0] },
  { kind: EventKind.IPI_ACKED,    name: cstr("ipi.acked"),    fields: [cstr("id"), null, null, null],                                formats: [FieldFormat.DECIMAL, 0, 0, 0] },
  { kind: EventKind.TLB_FLUSH,    name: cstr("tlb.flush"),    fields: [cstr("cause"), cstr("pages"), null, null],                    formats: [FieldFormat.DECIMAL, FieldFormat.DECIMAL, 0, 0] },
  { kind: EventKind.FRAME_FREE,   name: cstr("frame.free"),   fields: [cstr("cause"), cstr("frames"), null, null],                   formats: [FieldFormat.DECIMAL, FieldFormat.DECIMAL, 0, 0] },
  { kind: EventKind.MSG_SEND,     name: cstr("msg.send"),     fields: [cstr("op"), cstr("to"), cstr("bytes"), cstr("match")],        formats: [FieldFormat.OPERATION, FieldFormat.NID, FieldFormat.BYTES, FieldFormat.INIT_MATCH] },
  { kind: EventKind.MSG_RECEIVE,  name: cstr("msg.receive"),  fields: [cstr("op"), cstr("from"), cstr("bytes"), cstr("match")],      formats: [FieldFormat.OPERATION, FieldFormat.NID, FieldFormat.BYTES, FieldFormat.INIT_MATCH] },
  { kind: EventKind.MSG_DROP,     name: cstr("msg.drop"),     fields: [cstr("from"), cstr("sequence"), cstr("why"), null],           formats: [FieldFormat.NID, FieldFormat.DECIMAL, FieldFormat.DECIMAL, 0] },
  { kind: EventKind.MSG_RESEND,   name: cstr("msg.resend"),   fields: [cstr("to"), cstr("sequence"), cstr("count"), null],           formats: [FieldFormat.NID, FieldFormat.DECIMAL, FieldFormat.DECIMAL, 0] },
  { kind: EventKind.JOB_LOAD,     name: cstr("job.load"),     fields: [cstr("job"), cstr("from"), cstr("user"), cstr("bytes")],      formats: [FieldFormat.DECIMAL, FieldFormat.NID, FieldFormat.DECIMAL, FieldFormat.BYTES] },
  { kind: EventKind.JOB_REFUSE,   name: cstr("job.refuse"),   fields: [cstr("job"), cstr("from"), cstr("cause"), null],              formats: [FieldFormat.DECIMAL, FieldFormat.NID, FieldFormat.CAUSE, 0] },
  { kind: EventKind.JOB_RUN_USER, name: cstr("job.run_user"), fields: [cstr("job"), cstr("pid"), cstr("entry"), null],               formats: [FieldFormat.DECIMAL, FieldFormat.DECIMAL, FieldFormat.ADDRESS, 0] },
  { kind: EventKind.JOB_START,    name: cstr("job.start"),    fields: [cstr("job"), cstr("rank"), cstr("entry"), null],              formats: [FieldFormat.DECIMAL, FieldFormat.DECIMAL, FieldFormat.ADDRESS, 0] },
  { kind: EventKind.JOB_EXIT,     name: cstr("job.exit"),     fields: [cstr("job"), cstr("rank"), cstr("status"), null],             formats: [FieldFormat.DECIMAL, FieldFormat.DECIMAL, FieldFormat.WAIT_STATUS, 0] },
  { kind: EventKind.JOB_KILL,     name: cstr("job.kill"),     fields: [cstr("job"), null, null, null],                               formats: [FieldFormat.DECIMAL, 0, 0, 0] },
  { kind: EventKind.JOB_NOTICE,   name: cstr("job.notice"),   fields: [cstr("job"), cstr("to"), cstr("status"), cstr("ranks")],      formats: [FieldFormat.DECIMAL, FieldFormat.NID, FieldFormat.WAIT_STATUS, FieldFormat.DECIMAL] },
  { kind: EventKind.JOB_CHILD,    name: cstr("job.child"),    fields: [cstr("job"), cstr("nid"), null, null],                        formats: [FieldFormat.DECIMAL, FieldFormat.NID, 0, 0] },
  { kind: EventKind.TASK_END,     name: cstr("task.end"),     fields: [cstr("pid"), cstr("frames"), null, null],                     formats: [FieldFormat.DECIMAL, FieldFormat.DECIMAL, 0, 0] },
  { kind: EventKind.CPU_IDLE,     name: cstr("cpu.idle"),     fields: [null, null, null, null],                                      formats: [0, 0, 0, 0] },
  { kind: EventKind.MARK,         name: cstr("mark"),         fields: [cstr("kind"), cstr("value"), null, null],                     formats: [FieldFormat.DECIMAL, FieldFormat.DECIMAL, 0, 0] },
  { kind: EventKind.CORE_INIT,    name: cstr("core.init"),    fields: [null, null, null, null],                                      formats: [0, 0, 0, 0] },
  { kind: EventKind.CORE_STARTUP, name: cstr("core.startup"), fields: [cstr("page"), null, null, null],                              formats: [FieldFormat.HEX, 0, 0, 0] },
  { kind: EventKind.IRQ_DELIVER,  name: cstr("irq.deliver"),  fields: [cstr("vector"), null, null, null],                            formats: [FieldFormat.VECTOR, 0, 0, 0] },
  { kind: EventKind.IRQ_EOI,      name: cstr("irq.eoi"),      fields: [cstr("vector"), null, null, null],                            formats: [FieldFormat.VECTOR, 0, 0, 0] },
  { kind: EventKind.IPI_ICR,      name: cstr("ipi.icr"),      fields: [cstr("to"), cstr("mode"), cstr("vector"), null],              formats: [FieldFormat.CORE, FieldFormat.HEX, FieldFormat.VECTOR, 0] },
  { kind: EventKind.NMI_DELIVER,  name: cstr("nmi.deliver"),  fields: [null, null, null, null],                                      formats: [0, 0, 0, 0] },
  { kind: EventKind.CONSOLE,      name: cstr("console"),      fields: [cstr("line"), null, null, null],                              formats: [FieldFormat.TEXT, 0, 0, 0] },
  { kind: EventKind.DEVICE_ERROR, name: cstr("device.error"), fields: [cstr("text"), null, null, null],                              formats: [FieldFormat.TEXT, 0, 0, 0] },
  { kind: EventKind.LINK_SEND,    name: cstr("link.send"),    fields: [cstr("to"), cstr("op"), cstr("sequence"), cstr("bytes")],     formats: [FieldFormat.NID, FieldFormat.OPERATION, FieldFormat.DECIMAL, FieldFormat.BYTES] },
  { kind: EventKind.LINK_RECEIVE, name: cstr("link.receive"), fields: [cstr("from"), cstr("op"), cstr("sequence"), cstr("bytes")],   formats: [FieldFormat.NID, FieldFormat.OPERATION, FieldFormat.DECIMAL, FieldFormat.BYTES] },
  { kind: EventKind.LINK_FAULT,   name: cstr("link.fault"),   fields: [cstr("text"), null, null, null],                              formats: [FieldFormat.TEXT, 0, 0, 0] },
  { kind: EventKind.NODE_BOOT,    name: cstr("node.boot"),    fields: [cstr("cores"), cstr("memory"), null, null],                   formats: [FieldFormat.DECIMAL, FieldFormat.DECIMAL, 0, 0] },
  { kind: EventKind.NODE_READY,   name: cstr("node.ready"),   fields: [cstr("nid"), cstr("cores"), cstr("memory"), null],            formats: [FieldFormat.NID, FieldFormat.DECIMAL, FieldFormat.DECIMAL, 0] },
  { kind: EventKind.NODE_EXIT,    name: cstr("node.exit"),    fields: [cstr("why"), null, null, null],                               formats: [FieldFormat.TEXT, 0, 0, 0] },
  { kind: EventKind.SERVICE_LOAD, name: cstr("service.load"), fields: [cstr("job"), cstr("to"), cstr("bytes"), cstr("ranks")],       formats: [FieldFormat.DECIMAL, FieldFormat.NID, FieldFormat.BYTES, FieldFormat.DECIMAL] },
  { kind: EventKind.SERVICE_REPLY,name: cstr("service.reply"),fields: [cstr("job"), cstr("from"), cstr("cause"), cstr("pid")],       formats: [FieldFormat.DECIMAL, FieldFormat.NID, FieldFormat.CAUSE, FieldFormat.DECIMAL] },
  { kind: EventKind.SERVICE_STATUS,name: cstr("service.status"),fields: [cstr("job"), cstr("cause"), cstr("ready"), cstr("nid")],    formats: [FieldFormat.DECIMAL, FieldFormat.CAUSE, FieldFormat.DECIMAL, FieldFormat.NID] },
  { kind: EventKind.SERVICE_GO,   name: cstr("service.go"),   fields: [cstr("job"), cstr("to"), null, null],                         formats: [FieldFormat.DECIMAL, FieldFormat.NID, 0, 0] },
  { kind: EventKind.SERVICE_EXIT, name: cstr("service.exit"), fields: [cstr("job"), cstr("status"), cstr("ranks"), null],            formats: [FieldFormat.DECIMAL, FieldFormat.WAIT_STATUS, FieldFormat.DECIMAL, 0] },
  { kind: EventKind.SERVICE_KILL, name: cstr("service.kill"), fields: [cstr("job"), cstr("to"), null, null],                         formats: [FieldFormat.DECIMAL, FieldFormat.NID, 0, 0] },
  { kind: EventKind.SERVICE_SIGNAL, name: cstr("service.signal"), fields: [cstr("job"), cstr("to"), cstr("signal"), null],             formats: [FieldFormat.DECIMAL, FieldFormat.NID, FieldFormat.DECIMAL, 0] },
  { kind: EventKind.IO_CALL,      name: cstr("io.call"),      fields: [cstr("call"), cstr("from"), cstr("ret"), null],                formats: [FieldFormat.SYSCALL, FieldFormat.NID, FieldFormat.RESULT, 0] },
  { kind: EventKind.INSN,         name: cstr("insn"),         fields: [cstr("rip"), cstr("bits"), cstr("code"), null],               formats: [FieldFormat.ADDRESS, FieldFormat.DECIMAL, FieldFormat.CODE, 0] },
];
