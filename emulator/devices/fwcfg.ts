/**
 * fw_cfg by ports: a selector and a data stream. Source: QEMU docs/specs/fw_cfg.rst. Modelled: signature, interface id
 * without DMA, CPU count. Other keys read as zeros, as in QEMU, and are reported.
 */
import { FW_CFG_DATA, FW_CFG_SELECTOR, FwCfgKey } from "../abi/platform.ts";
import { type DeviceHost, hex } from "./device.ts";

export class FwCfg {
  private readonly items: ReadonlyMap<number, Uint8Array>;
  private key = 0;
  private position = 0;

  constructor(
    private readonly host: DeviceHost,
    cores: number,
  ) {
    this.items = new Map([
      [FwCfgKey.SIGNATURE, new TextEncoder().encode("QEMU")],
      [FwCfgKey.ID, new Uint8Array([1, 0, 0, 0])],
      [FwCfgKey.CPU_COUNT, new Uint8Array([cores & 0xff, cores >>> 8])],
    ]);
  }

  read(port: number, size: number): number {
    if (port === FW_CFG_DATA && size === 1) return this.items.get(this.key)?.[this.position++] ?? 0;
    this.host.report(`fw_cfg: read of ${size} bytes at port ${hex(port)}`);
    return 0;
  }

  write(port: number, size: number, value: number): void {
    if (port !== FW_CFG_SELECTOR || size !== 2) {
      this.host.report(`fw_cfg: write of ${size} bytes at port ${hex(port)}`);
      return;
    }
    this.key = value;
    this.position = 0;
    if (!this.items.has(value)) this.host.report(`fw_cfg: unknown key ${hex(value)}`);
  }

  state(): unknown {
    return { key: this.key, position: this.position };
  }
}
