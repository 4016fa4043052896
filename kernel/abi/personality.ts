/**
 * Identity of a node: sent to the service node in the READY message, and returned to programs by `margay_personality`.
 */
export class Personality {
  nid: u32 = 0;
  cores: u32 = 0;
  memoryBytes: u64 = 0;
  /** Coordinates in the fabric, from the boot parameter `coords=X.Y.Z`. */
  x: u16 = 0;
  y: u16 = 0;
  z: u16 = 0;
  reserved: u16 = 0;
  /** Compute nodes of the machine, from the boot parameter `nodes=N`; 0 = unknown. */
  nodes: u32 = 0;
  reserved2: u32 = 0;
}
