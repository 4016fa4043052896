/**
 * Proves that shipped calls behave as on Linux: each family's program (names.c, …) prints what every call gives, the
 * error cases of the manual pages among them, and prints the same on both. Compiled with glibc and with musl.
 */
import { compareFamilies } from "./rig.ts";

compareFamilies({ names: 170, attributes: 150, transfer: 160, descriptors: 210, memory: 120 });
