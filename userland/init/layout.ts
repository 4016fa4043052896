/**
 * Init's memory. The segment is [image | parameters | zeros]. Image and parameters are forwarded to the children
 * unchanged, so they are read-only by convention: init has no mutable static variable. All state is in one `Init` at
 * the start of the zeros; the stack grows down from the segment's end.
 */
import type { InitHeader, JobParameters, LoadStatus, RankPlace } from "../../kernel/abi/job.ts";
import type { EventQueue, PortalEvent } from "../../kernel/abi/portals.ts";

/** Stack and state, bytes. */
export const INIT_MEMORY_BYTES: u64 = 0x2_0000;
/**
 * LOAD_REPLY, STATUS and SENT of GO for each of CHILDREN_MAX children, and a few events of init itself. A power of two.
 */
export const LOAD_EVENTS: u64 = 512;
export const PROGRAMS_MAX: u32 = 256;

/** Progress of one child's sub-tree. */
export const enum ChildState {
  NONE = 0,
  LOADING = 1,
  INITIALISING = 2,
  REPORTED = 3,
}

/**
 * What a rank needs to run one program, in one buffer that children GET: prefix, arguments, executable, dynamic linker.
 */
export class Program {
  /** Address of the prefix; 0 = not fetched. */
  buffer: u64 = 0;
  /** Handle of the match entry, 0 = none. */
  entry: u64 = 0;
}
/**
 * Start of the buffer. Each part after it starts at a multiple of PART_ALIGN. For a script, the executable is its
 * interpreter, and the arguments are strings that replace argv[0].
 */
export class ProgramPrefix {
  fileBytes: u64 = 0;
  /** The dynamic linker that the executable names in PT_INTERP; 0: it names none. */
  linkerBytes: u64 = 0;
  argumentBytes: u64 = 0;
  argumentCount: u64 = 0;
}
const PART_ALIGN: u64 = 16;
export function partBytes(lengthBytes: u64): u64 {
  return (lengthBytes + PART_ALIGN - 1) & ~(PART_ALIGN - 1);
}
/** Size of the whole buffer. */
export function bundleBytes(p: ptr<ProgramPrefix>): u64 {
  return sizeof<ProgramPrefix>() + partBytes(p.argumentBytes) + partBytes(p.fileBytes) + p.linkerBytes;
}
/** The one event queue, followed by its events. */
export class LoadQueue {
  header!: EventQueue;
  events!: arr<PortalEvent, 512>;
}

export class Init {
  header!: ptr<InitHeader>;
  parameters!: ptr<JobParameters>;
  /** Image and parameters: the body of each LOAD. */
  bodyBytes: u64 = 0;
  /** The loader of this task: the parent's init, or the service node. */
  parentNid: u32 = 0;
  parentPid: u32 = 0;
  rank: u32 = 0;
  size: u32 = 0;
  fanout: u32 = 0;
  /** Position of the own node in the tree. */
  position: u32 = 0;
  /** First the leaders of the nodes below (`nodesBelow`), then the other ranks of this node. */
  childCount: u32 = 0;
  nodesBelow: u32 = 0;
  queueHandle: u32 = 0;
  places: ptr<RankPlace> | null = null;
  nids!: ptr<u32>;
  programOfRank!: ptr<u32>;
  /** LoadStatus and pids[size], in the layout that the parent receives. */
  status!: ptr<LoadStatus>;
  pids!: ptr<u32>;
  statusBytes: u64 = 0;
  /** Where the children PUT their statuses, one after the other: `statusBytes` of a leader, otherwise a LoadStatus. */
  childStatus: u64 = 0;
  statusEntry: u64 = 0;
  goReceived: boolean = false;
  /** Own PUTs and GETs in flight. */
  sending: u32 = 0;
  getDone: boolean = false;
  getCause: u32 = 0;
  reserved: u32 = 0;
  childStates!: arr<u8, 128>;
  childRanks!: arr<u32, 128>;
  programs!: arr<Program, 256>;
  queue!: LoadQueue;
}
