/* SPDX-License-Identifier: MIT */
/*
 * Known answers of AES-256-GCM in hex: key, IV, associated data, plaintext, ciphertext, tag. Those
 * of NIST are from its GCM test vectors (CAVP, gcmEncryptExtIV256.rsp); all were checked with
 * libcrypto too. Included by cipher_check.c only.
 */
#ifndef LW_MODULE_CIPHER_VECTORS_H
#define LW_MODULE_CIPHER_VECTORS_H

#include <stdint.h>

struct vector {
	const char *key;
	const char *iv;
	const char *aad;
	const char *plain;
	const char *sealed;
	const char *tag;
};

/* clang-format off */
static const struct vector vectors[] = {
	/* gcmEncryptExtIV256.rsp, [PTlen = 0], [AADlen = 0], Count = 0 */
	{ "b52c505a37d78eda5dd34f20c22540ea1b58963cf8e5bf8ffa85f9f2492505b4",
	  "516c33929df5a3284ff463d7",
	  "",
	  "",
	  "",
	  "bdc1ac884d332457a1d2664f168c76f0" },
	/* gcmEncryptExtIV256.rsp, [PTlen = 0], [AADlen = 128], Count = 1 */
	{ "4457ff33683cca6ca493878bdc00373893a9763412eef8cddb54f91318e0da88",
	  "699d1f29d7b8c55300bb1fd2",
	  "6749daeea367d0e9809e2dc2f309e6e3",
	  "",
	  "",
	  "d60c74d2517fde4a74e0cd4709ed43a9" },
	/* gcmEncryptExtIV256.rsp, [PTlen = 0], [AADlen = 384], Count = 2 */
	{ "59012d85a1b90aeb0359e6384c9991e7be219319f5b891c92c384ade2f371816",
	  "3c9cde00c23912cff9689c7c",
	  "e5daf473a470860b55210a483c0d1a978d8add843c2c097f73a3cda49ac4a614"
	  "c8e887d94e6692309d2ed97ebe1eaf5d",
	  "",
	  "",
	  "048239e4e5c2c8b33890a7c950cda852" },
	/* gcmEncryptExtIV256.rsp, [PTlen = 104], [AADlen = 0], Count = 3 */
	{ "e5a0eb92cc2b064e1bc80891faf1fab5e9a17a9c3a984e25416720e30e6c2b21",
	  "4742357c335913153ff0eb0f",
	  "",
	  "8499893e16b0ba8b007d54665a",
	  "eb8e6175f1fe38eb1acf95fd51",
	  "88a8b74bb74fda553e91020a23deed45" },
	/* gcmEncryptExtIV256.rsp, [PTlen = 104], [AADlen = 160], Count = 4 */
	{ "18ca572da055a2ebb479be6d6d7164e78f592b159cdea76e9fe208062d7b3fa1",
	  "1b041e534ae20748262f3929",
	  "e8a925d7ce18dd456b071cb4c46655940efbe991",
	  "cda2fa0015361ecf684c6ba7d1",
	  "740d8d578e2e7522c31019f471",
	  "f2eeb5af1bfedd10570a137fe2566c3f" },
	/* gcmEncryptExtIV256.rsp, [PTlen = 128], [AADlen = 0], Count = 5 */
	{ "130ae450c18efb851057aaa79575a0a090194be8b2c95469a0e8e380a8f48f42",
	  "b269115396f81b39e0c38f47",
	  "",
	  "036cf36280dee8355c82abc4c1fdb778",
	  "09f7568fd8181652e556f0dda5a49ed5",
	  "d10b61947cae275b7034f5259ba6fc28" },
	/* gcmEncryptExtIV256.rsp, [PTlen = 128], [AADlen = 160], Count = 6 */
	{ "65a290b2fabe7cd5fb2f6d627e9f1f79c2c714bffb4fb86e9df3e5eab28320ed",
	  "5a5ed4d5592a189f0737cf47",
	  "ad1c7f7a7fb7f8fef4819c1dd1a67e007c99a87b",
	  "662dda0f9c8f92bc906e90288100501c",
	  "8eb7cb5f0418da43f7e051c588776186",
	  "2b15399ee23690bbf5252fb26a01ae34" },
	/* gcmEncryptExtIV256.rsp, [PTlen = 128], [AADlen = 720], Count = 7 */
	{ "ad70ebcf889e88b867ded0e4838ca66d6991499046a5671d99e91ed463ae78b1",
	  "561e13b335718fcbee364100",
	  "e037bd7306eec185b9cb4e3bf295232da19005957086d62e6fb342284f05feaa"
	  "0e81d6c95071e7e4d7b6aad7b00f7e7863dd0fc16303a8304bb8855305f28067"
	  "f4be71eed95ff90e046382116229f0fd3d2c3ef2e87e0d0e7950",
	  "82d5568872a4cef12238c0feb14f0fb4",
	  "771c6d091f8190ddbdb8886d9ce2ebd5",
	  "5009abd1ebeb26dab852346ea6d8aee3" },
	/* gcmEncryptExtIV256.rsp, [PTlen = 256], [AADlen = 0], Count = 8 */
	{ "76f386bc8b93831903901b5eda1f7795af8adcecffa8aef004b754a353c62d8e",
	  "96618b357c41f41a2c48343b",
	  "",
	  "36108edad5de3bfb0258df7709fbbb1a157c36321f8de72eb8320e9aa1794933",
	  "b2093a4fc8ff0daefc1c786b6b04324a80d77941a88e0a7a6ef0a62beb8ed283",
	  "e55ea0456af9cdff2cad4eebbf00da1b" },
	/* gcmEncryptExtIV256.rsp, [PTlen = 256], [AADlen = 384], Count = 9 */
	{ "b6020677e098c59e19eacf26732473d843aafd6bf999c707bb08ab896406918d",
	  "807167ef2b84b32d1df4a94c",
	  "06225d410ada3e04157da7e5481d7d9f2285845824aac0c0e033244ed4c1b196"
	  "15354c224ba8b7093c5651d10ef952fe",
	  "3199d6b95d133ba5b7eadc420080a0b249c84f4960bd369d6bf9e313627cf670",
	  "4618adbfa5ea4ee260e310140b385232b7c3ad46887aa2107f7dafffd85cda22",
	  "2d76307bf55826dfeb58a171b6fa80e4" },
	/* gcmEncryptExtIV256.rsp, [PTlen = 408], [AADlen = 160], Count = 10 */
	{ "51162b2435f3cf43471f4cc0ffac98b438501ee9b887843a66e9951ca35b8767",
	  "dcb902eaa837ed22bf5fa636",
	  "4d459905ff89aed07dcda43a3d191a3da9309faa",
	  "3edf43358f5109a4dfb4a02987170a67cdd170f6028f7708bdd7726f476b882b"
	  "9640270f2270f7babfa384181c8e58c15d04c4",
	  "046a2313d36cbc43b6d0787e5ef37d153090a31d0f6656004034be72b9b07ace"
	  "3a8abe8614362282d87da40c29c60a1a9f5c40",
	  "c7410b5cb94d2877c189983791cee82e" },
	/* gcmEncryptExtIV256.rsp, [PTlen = 408], [AADlen = 720], Count = 11 */
	{ "c624feb6cb0d78d634b627134c692f0bf5debf84d8639e22ff27ce2ace49d438",
	  "a54f4f1204255f6b312222cd",
	  "d9099ba6be50dca77e0b9803766ad993132479fbab43b8f4126a7f9ef673ac0c"
	  "af2de235e1e84ad9fe505c43d1ac779f5072c025c14ea0d930ce39db8c5930ba"
	  "ada23b3e4654470e559fcb6eb1c133a77318b87cc7913e12d404",
	  "ec34f45c1b70fd56518cc5c404cc13330ab7d51c10f4d2cfeb26b097ae768971"
	  "91ec1b3953b0086e425c7da221d29f65d5ccf3",
	  "713d28a5123d65e82cca6e7fd919e1e5e3bdaab12ae715cf8b7c974eb5f62be8"
	  "c3b42637074c6b891f6c6033eb4b7e61db9f0b",
	  "01ededff6e4d1dce4ac790218e208ebe" },
	/* wire.md 13.1, version 1 */
	{ "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
	  "2b2b2b2b2b2b2b2b2b2b2b2b",
	  "a1a1a1a1a1a1a1a10000000000000001",
	  "657870726573736c616e6520676f6c64656e20766563746f72207061796c6f61"
	  "64",
	  "1de0df19db6aa733e1f77938999b312f5310ecc610332f6a94234f38a17987ca"
	  "c8",
	  "f8cf6559479de62e9b6bf8cda32be127" },
	/* wire.md 13.1, version 2, encoded */
	{ "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
	  "2b2b2b2b2b2b2b2b2b2b2b2b",
	  "a1a1a1a1a1a1a1a100000000000000018000",
	  "657870726573736c616e6520676f6c64656e20766563746f72207061796c6f61"
	  "64",
	  "1de0df19db6aa733e1f77938999b312f5310ecc610332f6a94234f38a17987ca"
	  "c8",
	  "99729ab5a6261acd578ce423075905ed" },
	/* wire.md 13.1, version 2 */
	{ "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
	  "2b2b2b2b2b2b2b2b2b2b2b2b",
	  "a1a1a1a1a1a1a1a100000000000000010000",
	  "657870726573736c616e6520676f6c64656e20766563746f72207061796c6f61"
	  "64",
	  "1de0df19db6aa733e1f77938999b312f5310ecc610332f6a94234f38a17987ca"
	  "c8",
	  "2d5ee0b75c9d1319e0aed5f386808b97" },
	/* wire.md 13.2 */
	{ "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
	  "a0a1a2a3a4a5a6a7a8a9aaab",
	  "112233445566778800000000000000070000",
	  "4500001c00010000400165dc0a7d00050a7d00060800f7fd00010001",
	  "fcd13d7afdb45a043f0fc7b7fbf820815daab01f50689779275ad5fc",
	  "ede3d7d67e4d5b6e759a885165f74313" },
};
/* clang-format on */

#define LONG_KEY "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"
#define LONG_IV  "a0a1a2a3a4a5a6a7a8a9aaab"
#define LONG_AAD "112233445566778800000000000000070000"

/* longer packets under the key of wire.md 13.2: byte i is 7 i + 1 */
static const struct {
	uint32_t len;
	const char *tag;
} longs[] = {
	{ 64, "f1dde8d29b8de02abc50f3589c608bad" },   { 127, "bd0ac146ca4fdfd351b0354ebb286473" },
	{ 512, "6800416ec36c8200e2cef71183a9a6bf" },  { 1350, "994227ee03812ed527195ec1635a5c06" },
	{ 1416, "72d4e11bf216500404cdf7d5897398b8" }, { 8192, "dd6253f32656e85eefa73071e48aa401" },
};

#endif
