import org.jose4j.http.Get;
import org.jose4j.jwa.AlgorithmConstraints.ConstraintType;
import org.jose4j.jwk.HttpsJwks;
import org.jose4j.jws.AlgorithmIdentifiers;
import org.jose4j.jwt.consumer.JwtConsumerBuilder;
import org.jose4j.keys.resolvers.HttpsJwksVerificationKeyResolver;

final class WithJose4j {
  public static void main(String[] args) throws Exception {
    var jwks = new HttpsJwks(Lines.JWKS_URI);
    if (Lines.AS_ON_PAGE) {
      jwks.setRefreshReprieveThreshold(1000);
      var get = new Get();
      get.setResponseBodySizeLimit(64 << 20);
      jwks.setSimpleHttpGet(get);
    }
    var consumer = new JwtConsumerBuilder()
        .setVerificationKeyResolver(new HttpsJwksVerificationKeyResolver(jwks))
        .setJwsAlgorithmConstraints(ConstraintType.PERMIT, AlgorithmIdentifiers.RSA_USING_SHA256)
        .setExpectedIssuer(Lines.ISSUER)
        .setExpectedAudience(Lines.AUDIENCE)
        .setAllowedClockSkewInSeconds(10)
        .build();
    Lines.serve(consumer::processToClaims);
  }
}
