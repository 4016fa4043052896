/**
 * Job load (ARCHITECTURE.md section 5): the init image, its parameters, the messages between init and the service node,
 * exit notices.
 */
import { GeneralRegisters } from "./registers.ts";

export const INIT_MAGIC: u32 = 0x544e_494d;
export const INIT_VERSION: u32 = 1;
/**
 * First 64 bytes of the init image. The kernel reads only this. The segment is [image | parameters | memoryBytes of
 * zeros], rounded up to whole pages; a LOAD's body is image and parameters. Registers at entry: rdi = address of the
 * header, rsi = bytes of the segment, rsp = its end, rdx = nid and r8 = pid of the LOAD's sender (the parent in the
 * tree, or the service node); the others are 0.
 */
export class InitHeader {
  magic: u32 = 0;
  version: u32 = 0;
  /** Virtual address of the first instruction; the image is linked at INIT_BASE. */
  entry: u64 = 0;
  /** Bytes of the linked image including its zero data; the parameters follow it. Set by the service node. */
  fileBytes: u64 = 0;
  /** Zeroed bytes after image and parameters: init's state and its stack, which starts at the segment's end. */
  memoryBytes: u64 = 0;
  /** Offset of the parameters: fileBytes, rounded up to 64. Set by the service node. */
  parametersOffset: u64 = 0;
  /** Hardware threads of a task whose LOAD names none; 0 = all of the node. Set by the service node. */
  cores: u32 = 0;
  /**
   * The most tasks that the job has on a node; each may have that part of the node's memory. 0 = 1. Set by the service
   * node.
   */
  tasksPerNode: u32 = 0;
  reserved2: u64 = 0;
  reserved3: u64 = 0;
}
export const PARAMETERS_MAGIC: u32 = 0x4d52_4150;
export const PARAMETERS_VERSION: u32 = 1;
export const MAX_RANKS: u32 = 4096;
/** Most nodes below a node of the tree; a higher degree is treated as this. */
export const FANOUT_MAX: u32 = 64;
/** Most tasks of a job on one node: one a core. */
export const TASKS_PER_NODE_MAX: u32 = 64;
/** Most tasks that one task loads: the first of each node below its own, and the others of its node. */
export const CHILDREN_MAX: u32 = 128;
/**
 * Place of a rank, the entry of the rank's number; `leader` belongs to another index. The nodes of the job form the
 * load tree; the first rank of a node (its leader) loads the leaders of the nodes below and the other ranks of its own
 * node.
 */
export class RankPlace {
  /** Bit n: the rank owns core n; 0: as InitHeader.cores says. */
  cores: u64 = 0;
  /** Entry q: the leader of the node at position q of the tree; 0 from `nodeCount` on. */
  leader: u32 = 0;
  /** The next rank on the same node; 0: there is none. */
  next: u32 = 0;
  /** Number of ranks before it on its node. */
  order: u32 = 0;
  /** Position of its node in the tree. */
  position: u32 = 0;
}
/**
 * Parameter block: this header, u32 nids[rankCount], u32 programs[rankCount] (index of each rank's program), u32
 * argCounts[programCount], RankPlace places[rankCount] where `placesOffset` is not 0, then the strings of programs,
 * argv of each program, envp, each NUL-terminated.
 */
export class JobParameters {
  magic: u32 = 0;
  version: u32 = 0;
  totalBytes: u32 = 0;
  jobId: u32 = 0;
  userId: u32 = 0;
  /**
   * Degree of the tree of nodes; values above FANOUT_MAX count as FANOUT_MAX. Children of position p are p*fanout+1 …
   * p*fanout+fanout.
   */
  fanout: u32 = 0;
  rankCount: u32 = 0;
  programCount: u32 = 0;
  /** Of all programs together. */
  argCount: u32 = 0;
  envCount: u32 = 0;
  /** Offsets from the start of the block. */
  nidsOffset: u32 = 0;
  programsOffset: u32 = 0;
  stringsOffset: u32 = 0;
  argCountsOffset: u32 = 0;
  /** 0: each rank has a node of its own, rank r at position r. */
  placesOffset: u32 = 0;
  nodeCount: u32 = 0;
}
/** Match bits of init's messages, on PORTAL_INIT of each rank and PORTAL_SERVICE of the service node. */
export const enum InitMatch {
  /**
   * GET. The low byte is the program's index, so there are at most 256 programs. The reply: u64 length of the program,
   * u64 0, its bytes.
   */
  PROGRAM = 0x1_0000,
  /**
   * PUT, leader to parent, rank 0 to service node: LoadStatus, u32 pids[rankCount] with 0 for ranks outside the
   * sub-tree. Another rank to its node's leader: LoadStatus alone. Header data = the sender's rank.
   */
  STATUS = 0x2_0000,
  /** PUT, service node to rank 0 (no body), parent to child (u32 pids[rankCount], complete). */
  GO = 0x3_0000,
}
/** Result of loading a sub-tree. If cause != OK: the failure of the lowest failing rank. */
export class LoadStatus {
  cause: u32 = 0;
  errno: u32 = 0;
  nid: u32 = 0;
  rank: u32 = 0;
  /** Ranks of the sub-tree that are ready. */
  readyCount: u32 = 0;
  /** pid of the sender's task. */
  pid: u32 = 0;
}
/** Body of EXIT_NOTICE: the exit of a whole sub-tree. The header's request id is that of the LOAD which ends. */
export class ExitNotice {
  jobId: u32 = 0;
  /** Linux wait status (exit code << 8, or signal) of the lowest failing rank, 0 if none failed. */
  waitStatus: u32 = 0;
  /** The rank of `waitStatus`. */
  rank: u32 = 0;
  /** Number of ranks that ended. */
  count: u32 = 0;
}
/** Most addresses in the backtrace of a core report. */
export const CORE_BACKTRACE_MAX: u32 = 16;
/** Vector of a report whose signal was sent, not brought about by an exception. */
export const NO_EXCEPTION: u32 = 256;
/** Body of CORE_REPORT: the program's state where a signal ended it. */
export class CoreReport extends GeneralRegisters {
  jobId: u32 = 0;
  pid: u32 = 0;
  core: u32 = 0;
  /** Signal number (signal.ts). */
  signal: u32 = 0;
  /** Exception vector or NO_EXCEPTION, and its error code. */
  vector: u32 = 0;
  error: u32 = 0;
  /** 1: the program was init, before GO. */
  isInit: u32 = 0;
  /** Used entries of `backtrace`. */
  depth: u32 = 0;
  rank: u32 = 0;
  reserved: u32 = 0;
  /** CR2 of a page fault, otherwise rip. */
  address: u64 = 0;
  /** rip, then return addresses, innermost first. */
  backtrace!: arr<u64, 16>;
}
